//! The program that runs at first boot.

fn main() {}
