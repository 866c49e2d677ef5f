//! `builder` bakes a Kubernetes cluster into bit-for-bit reproducible disk images.

pub mod advice;
pub mod cli;
pub mod deb;
pub mod deb822;
pub mod disk;
pub mod doctor;
pub mod embedded;
pub mod error;
pub mod fetch;
pub mod identity;
pub mod input;
pub mod lock;
pub mod mirror;
pub mod pipeline;
pub mod pki;
pub mod plan;
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
