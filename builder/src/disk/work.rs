//! What a disk is made of and in which folder: what all that make one are told.

use std::io;
use std::path::{Path, PathBuf};

use crate::ground::arch::Arch;
use crate::ground::repro;

/// Debian's folder of GRUB's parts.
pub const GRUB: &str = "/usr/lib/grub";

/// Where the tools see the folder of a step's files, and the disk in it.
pub(super) const WORK: &str = "/kiln/work";
pub(super) const DISK: &str = "/kiln/work/disk.raw";

/// What a disk is besides its files.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The machines that it boots on.
    pub arch: Arch,
    /// Where the tools see GRUB's parts for them, a folder for each kind of firmware.
    pub grub: String,
    /// Its size in bytes, whole MiB.
    pub size: u64,
    /// The key of the step that makes it: every id on it derives from this, so it must depend on no secret.
    pub key: [u8; 32],
    /// The one time stamp, seconds since 1970.
    pub epoch: u64,
    /// Kernel arguments after those for the root file system and the consoles.
    pub cmdline: String,
}

/// A disk that images are made of, in three forms.
#[derive(Debug, Clone)]
pub struct Stock {
    /// The raw disk that [`build`](crate::disk::build) makes.
    pub raw: PathBuf,
    /// The metadata of its root file system, which [`skeleton`](crate::disk::changes::skeleton) makes.
    pub skeleton: PathBuf,
    /// The raw disk compressed, which [`to_qcow2`](crate::disk::to_qcow2) makes.
    pub qcow2: PathBuf,
}

/// A folder beside the result, so that the result can be renamed into its place; only its owner can enter it.
pub(super) fn work_folder(out: &Path) -> io::Result<tempfile::TempDir> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".kiln-").tempdir_in(parent)
}

/// UUID of the root file system: GRUB finds it by this.
pub(super) fn file_system_id(spec: &Spec) -> uuid::Uuid {
    repro::uuid(&spec.key, "root-fs")
}
