//! The real program on stores that these tests make, without a network.

mod bundle;
mod gc;
mod killed;
mod project;
mod verify;
