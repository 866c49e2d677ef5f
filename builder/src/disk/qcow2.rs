//! The qcow2 image of a disk. Compressing a disk takes seconds, and most of it is the same for every cluster's images:
//! so it is done once, and an image is a copy in which the clusters that differ are written anew, each compressed by
//! itself. The disks in the store are never written and never hold a secret.

use std::fmt::Write as _;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;

use crate::disk::changes::{CLUSTER, Changes};
use crate::disk::error::DiskError;
use crate::disk::layout;
use crate::disk::work::{Stock, WORK, work_folder};
use crate::sandbox::Sandbox;

/// Where they see the image that they write.
const IMAGE: &str = "/kiln/work/image.qcow2";

/// Writes the image of a stock disk with some of its clusters replaced at `out`, with the bytes of its identity partition
/// replaced by `identity` (and zeros after it). With an identity the file is readable by its owner only.
///
/// # Errors
/// [`DiskError`] when the disk has no identity partition, the identity is larger than that, or a tool fails. Nothing
/// is at `out` then that was not there before.
pub fn image(
    tools: &Sandbox,
    stock: &Stock,
    changes: &Changes,
    identity: Option<&[u8]>,
    out: &Path,
) -> Result<(), DiskError> {
    let partition = layout::identity(&mut fs::File::open(&stock.raw)?);
    let partition = partition.map_err(|source| DiskError::layout(&stock.raw, source))?.range;
    let mut clusters = changes.clone();
    clusters.extend(split(identity.unwrap_or_default(), partition)?);
    let work = work_folder(out)?;
    let result = work.path().join("image.qcow2");
    let new = |path: &Path| fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    // Where the file system can, the copy shares the stock's blocks (copy_file_range(2)).
    std::io::copy(&mut fs::File::open(&stock.qcow2)?, &mut new(&result)?)?;
    // What is freed stays in the file as it was: whether a hole can be punched is the file system's business.
    let options = format!(
        "driver=qcow2,discard=unmap,pass-discard-request=off,pass-discard-other=off,file.driver=file,file.filename={IMAGE}"
    );
    let mut script = String::new();
    for (offset, cluster) in &clusters {
        std::io::copy(&mut cluster.as_slice(), &mut new(&work.path().join(offset.to_string()))?)?;
        // QEMU compresses into clusters that nothing is in. One at a time: several are compressed at the same time, and
        // take their places in the order in which that ends. Writing to a String has no errors.
        let _ = writeln!(script, "discard {offset} {CLUSTER}");
        let _ = writeln!(script, "write -c -s {WORK}/{offset} {offset} {CLUSTER}");
    }
    let tools = tools.clone().lend(work.path(), WORK);
    tools.run_with(["qemu-io", "--image-opts", &options], |stdin| stdin.write_all(script.as_bytes()))?;
    finish(&result, identity.is_some(), out)
}

/// Gives a finished image its mode and its name.
pub(super) fn finish(image: &Path, private: bool, out: &Path) -> Result<(), DiskError> {
    let mode = if private { 0o600 } else { 0o644 };
    fs::set_permissions(image, std::fs::Permissions::from_mode(mode))?;
    // A power cut must not leave an image with a name and without bytes.
    fs::File::open(image)?.sync_all()?;
    fs::rename(image, out)?;
    Ok(())
}

/// The clusters of an identity at the beginning of its partition, whose ends are ends of clusters.
fn split(identity: &[u8], partition: Range<u64>) -> Result<Changes, DiskError> {
    let (size, room) = (identity.len(), partition.end - partition.start);
    if size as u64 > room {
        return Err(DiskError::IdentityTooLarge { size, room });
    }
    let parts = identity.chunks(CLUSTER as usize).map(|part| {
        let mut cluster = part.to_vec();
        cluster.resize(CLUSTER as usize, 0);
        cluster
    });
    Ok((partition.start..).step_by(CLUSTER as usize).zip(parts).collect())
}
