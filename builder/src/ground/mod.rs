//! What everything stands on and what knows nothing of Kiln: errors, files, hashes, archives, trees of files, progress, and what
//! keeps a result from depending on the machine.

pub mod arch;
pub mod call;
pub(crate) mod durable;
pub mod error;
pub mod hash;
pub mod input;
pub mod offline;
pub mod parallel;
pub mod progress;
pub mod reference;
pub mod repro;
pub(crate) mod sparse;
pub mod stat;
pub mod tls;
pub mod tree;
