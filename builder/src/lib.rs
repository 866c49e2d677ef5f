//! `builder` bakes a Kubernetes cluster into bit-for-bit reproducible disk images.

pub mod error;
pub mod input;
pub mod lock;
pub mod progress;
pub mod repro;
pub mod sandbox;
pub mod store;
