//! A finished image, as the reports tell it.

use serde::{Deserialize, Serialize};

use crate::disk::Format;
use crate::ground::hash::Sha256Hex;

/// A finished image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    /// The role.
    pub role: String,
    /// File name in the output folder.
    pub file: String,
    /// Its format.
    pub format: Format,
    /// Bytes.
    pub size: u64,
    /// Content of the file.
    pub sha256: Sha256Hex,
    /// Content of the disk without identities.
    pub content_sha256: Sha256Hex,
}
