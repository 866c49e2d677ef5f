//! What a build leaves: images and their set, cluster.json, checksums, provenance, the project's record of content hashes, and the memory by which the next build knows that nothing
//! changed. How images are made is not known here.

pub mod cluster;
pub mod image;
pub mod images_lock;
pub mod provenance;
pub mod publish;
pub mod report;
pub mod unchanged;
