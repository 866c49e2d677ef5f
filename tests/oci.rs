//! The registry of the tests without machines, here for machines that pull from it.

#[path = "../builder/tests/oci/image.rs"]
pub mod image;
#[path = "../builder/tests/oci/registry.rs"]
pub mod registry;
