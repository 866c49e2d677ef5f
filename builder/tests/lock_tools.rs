//! `builder lock diff`, `add`, `audit` and `outdated` on small projects, without a network.

mod add;
mod audit;
mod diff;
mod outdated;
