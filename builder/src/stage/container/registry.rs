//! The archive of an image that a registry had: its manifest, configuration and layers as they are, in a layout that
//! names no other image.

use std::io::Write as _;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::json;
use tar::{Builder, EntryType};

use crate::ground::arch::Arch;
use crate::ground::error::{InputError, Result};
use crate::ground::hash::Digest;
use crate::ground::tree::header;
use crate::mirror::Mirrors;
use crate::oci::{Wanted, stored};
use crate::stage::container::layout::{LAYOUT, index, put};
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same image changes.
const VERSION: u32 = 1;

/// Makes the archive of what a digest leads to; every part is in the store.
pub(super) fn archive(
    store: &Store,
    reference: &str,
    digest: Option<&Digest>,
    arch: Arch,
    epoch: i64,
) -> Result<PathBuf> {
    let digest = digest.ok_or_else(|| InputError::Missing {
        what: "container image for this architecture",
        path: PathBuf::from(reference),
        hint: format!("put its digest into `digest.{arch}` of the lockfile"),
    })?;
    let key = StepKey::new("registry-image", VERSION, &(reference, digest, arch, epoch));
    let folder = store.step(&key, |folder| {
        let image = Wanted::new(reference, digest.clone(), arch, &Mirrors::default())?;
        let contents = stored(store, &image)?;
        let mut out = Builder::new(fs::File::create(folder.join("image.tar"))?);
        // The same layer may stand twice in a manifest.
        let mut parts: Vec<_> = contents.blobs.iter().chain([&contents.manifest]).collect();
        parts.sort_by(|a, b| a.digest.cmp(&b.digest));
        parts.dedup_by(|a, b| a.digest == b.digest);
        for part in parts {
            let sha256 = part.digest.sha256();
            let file = fs::File::open(store.file(sha256))?;
            let size = file.metadata()?.len();
            let mut header = header(EntryType::Regular, 0o644, size, epoch);
            out.append_data(&mut header, format!("blobs/sha256/{sha256}"), file)?;
        }
        let manifest = &contents.manifest;
        let size = fs::metadata(store.file(manifest.digest.sha256()))?.len();
        let entry = json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": size,
            "platform": { "architecture": arch, "os": "linux" },
        });
        put(&mut out, "index.json", 0o644, &index(entry, reference), epoch)?;
        put(&mut out, "oci-layout", 0o644, LAYOUT, epoch)?;
        out.into_inner()?.flush()?;
        Ok(())
    })?;
    Ok(folder.join("image.tar"))
}
