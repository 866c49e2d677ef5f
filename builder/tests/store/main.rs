//! The real program on stores that these tests make, without a network.

mod gc;
mod project;
mod verify;
