//! Disks: from the tree of a role to a bootable raw disk without secrets, to the files that join it later, to its content
//! hash, and to the qcow2 image with the identities of its nodes.
//!
//! Everything random on a disk (partition ids, UUIDs, serials, hash seeds) derives from one key that depends on no
//! secret. What is in the tree, and where results are kept, is others' business.

mod boot;
pub mod changes;
mod content;
mod convert;
mod encoding;
mod error;
pub mod file;
mod header;
pub mod layout;
mod platform;
mod qcow2;
mod root;
mod work;

use std::io::Read;
use std::path::Path;

use fs_err as fs;

use crate::sandbox::Sandbox;
pub use content::content_sha256;
pub use convert::{convert, to_qcow2, to_raw};
pub use encoding::{Compression, Encoding, Format, NoCompression};
pub use error::DiskError;
pub use header::{backing_file, virtual_size};
pub use layout::LayoutError;
pub use qcow2::image;
pub use work::{GRUB, Spec, Stock};
use work::{WORK, work_folder};

/// Makes a raw disk, a sparse file at `out`, from the uncompressed tar archive of a root tree. The tree must hold one
/// kernel and its initramfs as Debian names them, and every parent folder of a file. Of extended attributes mke2fs
/// takes over only file capabilities.
///
/// `tools` is a root with mke2fs (1.47.1 or newer, with libarchive), mkfs.fat, mtools and GRUB.
///
/// # Errors
/// [`DiskError`]; nothing is at `out` then that was not there before.
pub fn build(tools: &Sandbox, tree: impl Read, spec: &Spec, out: &Path) -> Result<(), DiskError> {
    let at_out = |source| DiskError::layout(out, source);
    let layout = layout::Layout::new(spec.arch, spec.size, &spec.key).map_err(at_out)?;
    let work = work_folder(out)?;
    let path = work.path().join("disk.raw");
    let mut disk = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    disk.set_len(layout.size)?;
    let tools = tools.clone().lend(work.path(), WORK).env("SOURCE_DATE_EPOCH", spec.epoch.to_string());
    root::fill(&tools, &layout, spec, tree)?;
    boot::install(&tools, &layout, spec, work.path(), &mut disk)?;
    layout.write(&mut disk).map_err(at_out)?;
    fs::rename(&path, out)?;
    Ok(())
}
