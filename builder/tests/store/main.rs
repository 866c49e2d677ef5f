//! The real program on stores that these tests make, without a network.

mod bundle;
mod compile;
mod full;
mod gc;
#[path = "../oci/image.rs"]
mod image;
mod killed;
mod project;
#[cfg(feature = "e2e")]
mod s3;
mod share;
#[path = "../skip/mod.rs"]
mod skip;
mod slow;
mod verify;
mod web;
mod web_share;
