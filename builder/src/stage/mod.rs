//! The stages of a build, each a plain function from a typed input to a typed output. `build` puts them in order.

pub mod base;
pub mod component;
pub mod container;
pub mod disk;
pub mod fetched;
pub mod image;
pub mod source;
pub mod stock;
pub mod tree;
