//! What stands at the top of files that firstboot writes.

/// First line of each file, for whoever opens it.
pub const HEADER: &str =
    "# Written by Kiln's firstboot; it writes this again when the node's values change.\n";
