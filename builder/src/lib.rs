//! `builder` bakes a Kubernetes cluster into bit-for-bit reproducible disk images.

pub mod bundle;
pub mod cli;
pub mod deb;
pub mod disk;
pub mod doctor;
pub mod driver;
pub mod embedded;
pub mod fetch;
pub mod go;
pub mod ground;
pub mod identity;
pub mod lock;
pub mod lockfile;
pub mod mirror;
pub mod oci;
pub mod pipeline;
pub mod pki;
pub mod plan;
pub mod profile;
pub mod reach;
pub mod results;
pub mod role;
pub mod sandbox;
pub mod share;
pub mod stage;
pub mod store;
