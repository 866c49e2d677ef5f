//! What the lock names of a file.

use crate::ground::hash::Hash;

/// A file that the lock names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is, for people: `etcd-server 3.5.16-4`.
    pub subject: String,
    /// Where it may be had, in order.
    pub urls: Vec<String>,
    /// Bytes; unknown for some of what upstream publishes.
    pub size: Option<u64>,
    /// Content.
    pub hash: Hash,
    /// Who publishes it.
    pub origin: Origin,
}

/// Who publishes a file: what to do when it cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The Debian archive.
    Debian,
    /// Whoever the addresses in the lock say.
    Upstream,
}
