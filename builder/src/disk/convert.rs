//! Images in other encodings than the one that [`image`](crate::disk::image) writes.

use std::path::Path;

use fs_err as fs;

use crate::disk::encoding::Encoding;
use crate::disk::error::DiskError;
use crate::disk::qcow2::{INPUT, finish};
use crate::disk::work::{WORK, work_folder};
use crate::ground::hash::Sha256Hex;
use crate::sandbox::Sandbox;

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
    let tools = tools.clone().show(image, INPUT).show(&random, "/dev/urandom").lend(work.path(), WORK);
    let result = format!("{WORK}/image");
    let fixed =
        ["qemu-img", "convert", "-f", "qcow2"].into_iter().chain(encoding.arguments().iter().copied());
    tools.run(fixed.chain([INPUT, &result]))?;
    finish(&work.path().join("image"), private, out)
}
