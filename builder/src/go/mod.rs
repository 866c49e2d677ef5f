//! Go modules: fetched by the go command, so that proxies, private modules and credentials work as Go people know them,
//! and kept in the store, each verified by the hash that the lock has from the public checksum database.
//!
//! What is compiled of them is `stage::source`'s concern, the format of the lock `lock::go`'s.

pub mod buildinfo;
mod cache;
mod command;
mod error;
mod fetch;
mod module;
pub(crate) mod resolve;
mod settings;
mod sum;
mod toolchain;
mod verify;

pub(crate) use cache::{lay_out, parts};
pub(crate) use command::list;
pub use error::GoError;
pub use fetch::{fetch, missing};
pub(crate) use module::modules;
pub use module::{FILES, GoBuild, key, of_builds};
pub(crate) use toolchain::{folder_key as toolchain_key, unpack as toolchain};
pub use verify::check_recipe;
pub(crate) use verify::verify;
