//! What a build tells about its result, in files beside the images.
//!
//! Each format has a module of its own with its types. It does not own how a result is made.

pub mod cluster;
