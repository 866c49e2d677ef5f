//! The finished images: a role's disk with its nodes' identities, compressed. The only stage that sees secrets, so
//! its results go to the output folder and never into the store.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::deb::roots::Tools;
use crate::disk::{self, DiskError, Encoding, Format};
use crate::ground::durable::private;
use crate::ground::error::Result;
use crate::ground::hash::{Sha256Hex, sha256_of_file};
use crate::ground::parallel;
use crate::ground::repro::sha256_hex;
use crate::ground::stat::Stat;
use crate::results::image::Image;
use crate::results::publish::{FreshSet, image_path};
use crate::sandbox::Sandbox;
use crate::stage::disk::Disk;
use crate::stage::fetched::Fetched;
use crate::store::room::Need;

/// Remembers, beside the images, what they were made of, so that an unchanged build reads none of them.
const STAMPS: &str = ".images.json";

/// Raised when the image of the same disk and identities changes.
const VERSION: u32 = 1;

/// What an image file was made of, and how it looked when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    inputs: String,
    format: Format,
    sha256: Sha256Hex,
    seen: Stat,
}

/// Makes the images of a set; `identities` are the partitions' bytes by role.
///
/// # Errors
/// When qemu-img fails or the folder cannot be written.
pub fn finish(
    Fetched { store, progress, .. }: Fetched<'_>,
    tools: &Tools,
    disks: &[Disk],
    identities: &BTreeMap<String, Vec<u8>>,
    encoding: Encoding,
    set: &FreshSet,
) -> Result<Vec<Image>> {
    let out = set.results();
    let (stamps, format) = (out.join(STAMPS), encoding.format());
    let mut known: BTreeMap<String, Stamp> =
        fs::read(&stamps).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    known.retain(|_, stamp| {
        Stat::of(&out.join(image_path(&stamp.sha256, stamp.format))).is_ok_and(|seen| seen == stamp.seen)
    });
    let stocks = disks.iter().filter_map(|disk| fs::metadata(&disk.stock.disk.qcow2).ok());
    let bytes = stocks.map(|stock| stock.len()).sum();
    let need = Need { bytes, what: "the images", folder: out, option: "--out" };
    let make = |disk: &Disk| -> Result<Stamp> {
        let file = file_of(disk, encoding);
        let identity = identities.get(&disk.role);
        let identity_sha256 = identity.map(sha256_hex).unwrap_or_default();
        let inputs = (VERSION, disk.key.digest(), identity_sha256, encoding);
        let inputs = sha256_hex(serde_json::to_vec(&inputs).map_err(std::io::Error::from)?);
        if let Some(stamp) = known.get(&file).filter(|stamp| stamp.inputs == inputs) {
            set.image(&file, (&stamp.sha256, format), None)?;
            return Ok(stamp.clone());
        }
        let task = progress.task(&format!("writing the image of `{}`", disk.role));
        let path = set.folder().join(format!("{file}.new"));
        let (sandbox, part) = (Sandbox::new(&tools.path), identity.map(Vec::as_slice));
        let full = |error: DiskError| need.explain(error.into());
        disk::image(&sandbox, &disk.stock.disk, &disk.changes()?, part, &path).map_err(full)?;
        let mut sha256 = hash(&path)?;
        if encoding != Encoding::default() {
            disk::convert(&sandbox, (&path, &sha256), encoding, part.is_some(), &path).map_err(full)?;
            sha256 = hash(&path)?;
        }
        set.image(&file, (&sha256, format), Some(&path))?;
        let seen = Stat::of(&out.join(image_path(&sha256, format)))?;
        task.finish();
        Ok(Stamp { inputs, format, sha256, seen })
    };
    // The hash is over the whole disk, most of which is no work for the image: so both at the same time.
    let make = |disk: &Disk| parallel::both(|| make(disk), || disk.content_sha256(store));
    let results = parallel::map(disks, make).into_iter().collect::<Result<Vec<_>>>()?;
    let mut images = Vec::new();
    let mut made = BTreeMap::new();
    for (disk, (stamp, content_sha256)) in disks.iter().zip(results) {
        let (role, file) = (disk.role.clone(), file_of(disk, encoding));
        let (size, sha256) = (stamp.seen.size, stamp.sha256.clone());
        images.push(Image { role, file: file.clone(), format, size, sha256, content_sha256 });
        made.insert(file, stamp);
    }
    private(&stamps, &serde_json::to_vec(&made).map_err(std::io::Error::from)?)?;
    Ok(images)
}

/// The name of a role's image.
fn file_of(disk: &Disk, encoding: Encoding) -> String {
    format!("{}.{}", disk.role, encoding.format())
}

fn hash(path: &Path) -> Result<Sha256Hex> {
    Ok(sha256_of_file(path)?.parse().map_err(std::io::Error::other)?)
}
