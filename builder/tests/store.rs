//! The real program on stores that these tests make, without a network.

mod bundle;
mod compile;
mod full;
mod gc;
mod killed;
#[cfg(feature = "e2e")]
mod s3;
mod share;
mod slow;
mod verify;
mod web;
mod web_share;
