//! `builder` bakes a Kubernetes cluster into bit-for-bit reproducible disk images.

pub mod deb;
pub mod deb822;
pub mod disk;
pub mod error;
pub mod fetch;
pub mod identity;
pub mod input;
pub mod lock;
pub mod mirror;
pub mod pki;
pub mod profile;
pub mod progress;
pub mod report;
pub mod repro;
pub mod role;
pub mod sandbox;
pub mod secret;
pub mod stage;
pub mod store;
pub mod tree;
