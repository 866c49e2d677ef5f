//! Raw disk to qcow2 and back. The identity of an image is joined while it is converted: the raw disk in the store is
//! never written, never copied, and never holds a secret.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;

use super::{DiskError, WORK, layout, work_folder};
use crate::sandbox::Sandbox;

/// Where the tools see the disk that they read.
const INPUT: &str = "/kiln/input";

/// Writes a disk as zstd-compressed qcow2 at `out`, with the bytes of its identity partition replaced by `identity`
/// (and zeros after it). With an identity the file is readable by its owner only.
///
/// # Errors
/// [`DiskError`] when the disk has no identity partition, the identity is larger than that, or a tool fails. Nothing
/// is at `out` then that was not there before.
pub fn to_qcow2(tools: &Sandbox, raw: &Path, identity: Option<&[u8]>, out: &Path) -> Result<(), DiskError> {
    let mut disk = fs::File::open(raw)?;
    let partition = layout::identity(&mut disk).map_err(|source| DiskError::layout(raw, source))?;
    let size = disk.metadata()?.len();
    let work = work_folder(out)?;
    let tools = tools.clone().show(raw, INPUT).lend(work.path(), WORK);
    // qemu-img joins several sources: the disk before the partition, the identity, the disk after it.
    let slice = |start: u64, end: u64| {
        let length = end - start;
        format!(
            r#"json:{{"driver":"raw","offset":{start},"size":{length},"file":{{"driver":"file","filename":"{INPUT}"}}}}"#
        )
    };
    let sources = match identity {
        None => vec![slice(0, size)],
        Some(identity) => {
            write_identity(&work.path().join("identity"), identity, partition.size())?;
            let identity =
                format!(r#"json:{{"driver":"raw","file":{{"driver":"file","filename":"{WORK}/identity"}}}}"#);
            vec![slice(0, partition.range.start), identity, slice(partition.range.end, size)]
        }
    };
    let result = format!("{WORK}/image.qcow2");
    let options = ["qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd"];
    tools.run(options.into_iter().chain(sources.iter().map(String::as_str)).chain([result.as_str()]))?;
    let result = work.path().join("image.qcow2");
    let mode = if identity.is_some() { 0o600 } else { 0o644 };
    fs::set_permissions(&result, std::fs::Permissions::from_mode(mode))?;
    // A power cut must not leave an image with a name and without bytes.
    fs::File::open(&result)?.sync_all()?;
    fs::rename(&result, out)?;
    Ok(())
}

/// The identity partition's bytes as a sparse file.
fn write_identity(path: &Path, identity: &[u8], room: u64) -> Result<(), DiskError> {
    if identity.len() as u64 > room {
        return Err(DiskError::IdentityTooLarge { size: identity.len(), room });
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(identity)?;
    file.set_len(room)?;
    Ok(())
}

/// Writes the raw disk of a qcow2 image at `out`, readable by its owner only: the image may carry secrets.
///
/// # Errors
/// [`DiskError`] when the file is not a qcow2 image or a tool fails.
pub fn to_raw(tools: &Sandbox, image: &Path, out: &Path) -> Result<(), DiskError> {
    let work = work_folder(out)?;
    let tools = tools.clone().show(image, INPUT).lend(work.path(), WORK);
    // The format is named, never guessed: a guest could have written another image's header into its disk.
    tools.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", INPUT, &format!("{WORK}/disk.raw")])?;
    let result = work.path().join("disk.raw");
    fs::set_permissions(&result, std::fs::Permissions::from_mode(0o600))?;
    fs::rename(&result, out)?;
    Ok(())
}
