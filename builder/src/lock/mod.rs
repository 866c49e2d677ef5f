//! `builder lock`: the only code that resolves versions, and what else is asked of a lockfile. Its format, and reading it, is
//! [`lockfile`](crate::lockfile)'s.

pub mod add;
mod apt;
pub mod audit;
mod changes;
mod check;
mod chosen;
mod edit;
pub mod expect;
pub mod images;
pub mod osv;
mod resolve;
pub mod upstream;

pub use apt::AptError;
pub use changes::Changes;
pub use check::{Stale, check};
pub use chosen::ChosenError;
pub(crate) use resolve::replace;
pub use resolve::{changes, update};
