//! Disks from one format to another, by qemu-img.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::disk::encoding::{Encoding, Format};
use crate::disk::error::DiskError;
use crate::disk::qcow2::finish;
use crate::disk::work::{WORK, work_folder};
use crate::ground::hash::Sha256Hex;
use crate::sandbox::Sandbox;

/// Where the tools see the disk that they read.
const INPUT: &str = "/kiln/input";

/// The disk that they write, in the folder of the step's files.
const OUTPUT: &str = "disk";

/// Writes a disk as zstd-compressed qcow2 at `out`.
///
/// # Errors
/// [`DiskError`] when qemu-img fails. Nothing is at `out` then that was not there before.
pub fn to_qcow2(tools: &Sandbox, raw: &Path, out: &Path) -> Result<(), DiskError> {
    let work = work_folder(out)?;
    let result = run(tools.clone(), (raw, Format::Raw), Encoding::default(), work.path())?;
    Ok(fs::rename(result, out)?)
}

/// Writes the raw disk of a qcow2 image at `out`, readable by its owner only: the image may carry secrets.
///
/// # Errors
/// [`DiskError`] when the file is not a qcow2 image or a tool fails.
pub fn to_raw(tools: &Sandbox, image: &Path, out: &Path) -> Result<(), DiskError> {
    let work = work_folder(out)?;
    let result = run(tools.clone(), (image, Format::Qcow2), Encoding::RAW, work.path())?;
    fs::set_permissions(&result, std::fs::Permissions::from_mode(0o600))?;
    Ok(fs::rename(result, out)?)
}

/// Writes a qcow2 image, whose bytes have this hash, in another encoding at `out`. With `private` the file is readable by
/// its owner only.
///
/// # Errors
/// [`DiskError`] when qemu-img fails. Nothing is at `out` then that was not there before.
pub fn convert(
    tools: &Sandbox,
    (image, sha256): (&Path, &Sha256Hex),
    encoding: Encoding,
    private: bool,
    out: &Path,
) -> Result<(), DiskError> {
    let work = work_folder(out)?;
    // The identifiers of vmdk and vhdx are random numbers, which GLib begins with 16 bytes of /dev/urandom.
    let random = work.path().join("random");
    fs::write(&random, sha256.as_str())?;
    let tools = tools.clone().show(&random, "/dev/urandom");
    finish(&run(tools, (image, Format::Qcow2), encoding, work.path())?, private, out)
}

/// Converts a disk into the folder `work`. Its format is named, never guessed: a guest could have written another image's
/// header into its disk.
fn run(
    tools: Sandbox,
    (disk, format): (&Path, Format),
    encoding: Encoding,
    work: &Path,
) -> Result<PathBuf, DiskError> {
    let (format, result) = (format.to_string(), format!("{WORK}/{OUTPUT}"));
    let argv = ["qemu-img", "convert", "-f", &format].into_iter().chain(encoding.arguments().iter().copied());
    tools.show(disk, INPUT).lend(work, WORK).run(argv.chain([INPUT, &result]))?;
    Ok(work.join(OUTPUT))
}
