//! The finished images: a role's disk with its nodes' identities, compressed. The only stage that sees secrets, so
//! its results go to the output folder and never into the store.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::roots::Tools;
use crate::disk;
use crate::error::Result;
use crate::lock::format::Sha256Hex;
use crate::parallel;
use crate::progress::Progress;
use crate::publish::{FreshSet, image_path};
use crate::repro::sha256_hex;
use crate::sandbox::Sandbox;
use crate::store::Store;
use crate::store::room::Need;
use crate::unchanged::Seen;

/// Remembers, beside the images, what they were made of, so that an unchanged build reads none of them.
const STAMPS: &str = ".images.json";

/// Raised when the image of the same disk and identities changes.
const VERSION: u32 = 1;

/// A finished image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    /// The role.
    pub role: String,
    /// File name in the output folder.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Content of the file.
    pub sha256: Sha256Hex,
    /// Content of the disk without identities.
    pub content_sha256: Sha256Hex,
}

/// What an image file was made of, and how it looked when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    inputs: String,
    sha256: Sha256Hex,
    seen: Seen,
}

/// Makes the images of a set; `identities` are the partitions' bytes by role.
///
/// # Errors
/// When qemu-img fails or the folder cannot be written.
pub fn finish(
    store: &Store,
    tools: &Tools,
    disks: &[Disk],
    identities: &BTreeMap<String, Vec<u8>>,
    set: &FreshSet,
    progress: &Progress,
) -> Result<Vec<Image>> {
    let out = set.results();
    let stamps = out.join(STAMPS);
    let mut known: BTreeMap<String, Stamp> =
        fs::read(&stamps).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    known.retain(|_, stamp| {
        Seen::look(&out.join(image_path(&stamp.sha256))).is_ok_and(|seen| seen == stamp.seen)
    });
    let stocks = disks.iter().filter_map(|disk| fs::metadata(&disk.stock.disk.qcow2).ok());
    let bytes = stocks.map(|stock| stock.len()).sum();
    let need = Need { bytes, what: "the images", folder: out, option: "--out" };
    let make = |disk: &Disk| -> Result<Stamp> {
        let file = file_of(disk);
        let identity = identities.get(&disk.role);
        let identity_sha256 = identity.map(sha256_hex).unwrap_or_default();
        let inputs = sha256_hex(format!("{VERSION}{}{identity_sha256}", disk.key.digest()));
        if let Some(stamp) = known.get(&file).filter(|stamp| stamp.inputs == inputs) {
            set.image(&file, &stamp.sha256, None)?;
            return Ok(stamp.clone());
        }
        let task = progress.task(&format!("writing the image of `{}`", disk.role));
        let path = set.folder().join(format!("{file}.new"));
        let identity = identity.map(Vec::as_slice);
        disk::image(&Sandbox::new(&tools.path), &disk.stock.disk, &disk.changes()?, identity, &path)
            .map_err(|error| need.explain(error.into()))?;
        let sha256: Sha256Hex = hash(&path)?.parse().map_err(std::io::Error::other)?;
        set.image(&file, &sha256, Some(&path))?;
        let seen = Seen::look(&out.join(image_path(&sha256)))?;
        task.finish();
        Ok(Stamp { inputs, sha256, seen })
    };
    // The hash is over the whole disk, most of which is no work for the image: so both at the same time.
    let make = |disk: &Disk| parallel::both(|| make(disk), || disk.content_sha256(store));
    let results = parallel::map(disks, make).into_iter().collect::<Result<Vec<_>>>()?;
    let mut images = Vec::new();
    let mut made = BTreeMap::new();
    for (disk, (stamp, content_sha256)) in disks.iter().zip(results) {
        let (role, file) = (disk.role.clone(), file_of(disk));
        let (size, sha256) = (stamp.seen.size, stamp.sha256.clone());
        images.push(Image { role, file: file.clone(), size, sha256, content_sha256 });
        made.insert(file, stamp);
    }
    private(&stamps, &serde_json::to_vec(&made).map_err(std::io::Error::from)?)?;
    Ok(images)
}

/// The name of a role's image.
fn file_of(disk: &Disk) -> String {
    format!("{}.qcow2", disk.role)
}

/// Writes a file of mode 0600 in one step.
///
/// # Errors
/// When the folder cannot be written.
pub fn private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write(path, bytes, 0o600)
}

/// Writes a file that everyone may read in one step.
///
/// # Errors
/// When the folder cannot be written.
pub fn public(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write(path, bytes, 0o644)
}

/// An unchanged file stays as it is; a changed one is replaced by rename.
fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write;
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    fs::rename(temporary, path)
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
