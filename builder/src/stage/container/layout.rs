//! The parts of an OCI image layout that every archive has (image-spec v1.1).

use std::io::Write;

use serde_json::json;
use tar::{Builder, EntryType};

use crate::ground::tree::header;

/// The marker of an image layout.
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The index of a layout with one manifest.
pub(super) fn index(mut entry: serde_json::Value, reference: &str) -> Vec<u8> {
    // containerd takes the image's name from its own annotation.
    entry["annotations"] = json!({ "io.containerd.image.name": reference });
    json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes()
}

pub(super) fn put(
    out: &mut Builder<impl Write>,
    name: &str,
    mode: u32,
    bytes: &[u8],
    epoch: i64,
) -> std::io::Result<()> {
    out.append_data(&mut header(EntryType::Regular, mode, bytes.len() as u64, epoch), name, bytes)
}
