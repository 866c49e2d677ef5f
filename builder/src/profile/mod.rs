//! A cluster profile: the topology that a person writes, and the same thing checked and with every default filled in.
//!
//! [`Profile::load`] refuses what cannot work, by file, line and key, before anything is fetched or written. It does
//! not know images or versions: roles are checked against the image recipes by `plan`.

mod addresses;
mod api;
mod check;
pub mod endpoint;
mod grammar;
mod load;
mod model;
mod raw;
mod size;
mod source;
#[cfg(test)]
mod tests;

pub use grammar::is_same_taint;
pub use load::{PROFILES, names};
pub use model::{
    Encryption, Every, Identity, Lines, Machine, Options, Profile, RUNTIME, Settings, Slots, Validity,
};
pub use size::MiB;
