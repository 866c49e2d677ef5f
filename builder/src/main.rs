//! builder.

fn main() {}
