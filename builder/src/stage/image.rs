//! The finished images: a role's disk with its nodes' identities, compressed. The only stage that sees secrets, so
//! its results go to the output folder and never into the store.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
use crate::repro::sha256_hex;
use crate::sandbox::Sandbox;
use crate::store::Store;
use crate::store::room::Need;
use crate::unchanged::Seen;

/// Remembers, beside the images, what they were made of, so that an unchanged build reads none of them.
const STAMPS: &str = ".images.json";

/// Raised when the image of the same disk and identities changes.
const VERSION: u32 = 1;

/// How the folders begin in which images are made.
const FRESH: &str = ".new-";

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

/// Makes the images in `out`, which nobody else writes meanwhile; `identities` are the partitions' bytes by role. All
/// appear, or none. What a killed build left goes, and the images of roles that there are no more.
///
/// # Errors
/// When qemu-img fails or the folder cannot be written.
pub fn finish(
    store: &Store,
    tools: &Tools,
    disks: &[Disk],
    identities: &BTreeMap<String, Vec<u8>>,
    out: &Path,
    progress: &Progress,
) -> Result<Vec<Image>> {
    let stamps = out.join(STAMPS);
    let mut known: BTreeMap<String, Stamp> =
        fs::read(&stamps).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    known.retain(|file, stamp| Seen::look(&out.join(file)).is_ok_and(|seen| seen == stamp.seen));
    remove_unfinished(out)?;
    // The new files, each under a name that nothing takes for an image until all are there.
    let fresh = tempfile::Builder::new().prefix(FRESH).tempdir_in(out)?;
    let stocks = disks.iter().filter_map(|disk| fs::metadata(&disk.stock.disk.qcow2).ok());
    let bytes = stocks.map(|stock| stock.len()).sum();
    let need = Need { bytes, what: "the images", folder: out, option: "--out" };
    let make = |disk: &Disk| -> Result<Option<(PathBuf, Stamp)>> {
        let file = file_of(disk);
        let identity = identities.get(&disk.role);
        let identity_sha256 = identity.map(sha256_hex).unwrap_or_default();
        let inputs = sha256_hex(format!("{VERSION}{}{identity_sha256}", disk.key.digest()));
        if known.get(&file).is_some_and(|stamp| stamp.inputs == inputs) {
            return Ok(None);
        }
        let task = progress.task(&format!("writing the image of `{}`", disk.role));
        let path = fresh.path().join(&file);
        let identity = identity.map(Vec::as_slice);
        disk::image(&Sandbox::new(&tools.path), &disk.stock.disk, &disk.changes()?, identity, &path)
            .map_err(|error| need.explain(error.into()))?;
        let sha256 = hash(&path)?.parse().map_err(std::io::Error::other)?;
        let stamp = Stamp { inputs, sha256, seen: Seen::look(&path)? };
        task.finish();
        Ok(Some((path, stamp)))
    };
    // The hash is over the whole disk, most of which is no work for the image: so both at the same time.
    let make = |disk: &Disk| parallel::both(|| make(disk), || disk.content_sha256(store));
    let results = parallel::map(disks, make).into_iter().collect::<Result<Vec<_>>>()?;
    let mut made: Vec<PathBuf> = Vec::new();
    let mut images = Vec::new();
    for (disk, (result, content)) in disks.iter().zip(results) {
        let file = file_of(disk);
        if let Some((path, stamp)) = result {
            known.insert(file.clone(), stamp);
            made.push(path);
        }
        images.push((disk, file, content));
    }
    for path in &made {
        let file = path.file_name().unwrap_or_default();
        fs::rename(path, out.join(file))?;
        if let Some(stamp) = known.get_mut(&*file.to_string_lossy()) {
            stamp.seen = Seen::look(&out.join(file))?;
        }
    }
    let gone = known.extract_if(.., |file, _| images.iter().all(|(_, image, _)| image != file));
    let gone: Vec<String> = gone.map(|(file, _)| file).collect();
    gone.iter().try_for_each(|file| fs::remove_file(out.join(file)))?;
    if !made.is_empty() || !gone.is_empty() {
        private(&stamps, &serde_json::to_vec(&known).map_err(std::io::Error::from)?)?;
    }
    let finished = images.into_iter().filter_map(|(disk, file, content_sha256)| {
        let stamp = known.get(&file)?;
        Some(Image {
            role: disk.role.clone(),
            size: stamp.seen.size,
            sha256: stamp.sha256.clone(),
            content_sha256,
            file,
        })
    });
    Ok(finished.collect())
}

/// A killed build's new images hold keys as finished ones do.
fn remove_unfinished(out: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FRESH)) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
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
