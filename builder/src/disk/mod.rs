//! Disks: from the tree of a role to a bootable raw disk without secrets, to the files that join it later, to its content
//! hash, and to the qcow2 image with the identities of its nodes.
//!
//! Everything random on a disk (partition ids, UUIDs, serials, hash seeds) derives from one key that depends on no
//! secret. What is in the tree, and where results are kept, is others' business.

mod boot;
pub mod changes;
mod content;
mod header;
pub mod layout;
mod platform;
mod qcow2;
mod root;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::error::{Class, Explain};
use crate::lock::format::Arch;
use crate::sandbox::{Sandbox, SandboxError};
pub use content::content_sha256;
pub use header::{backing_file, virtual_size};
pub use layout::LayoutError;
pub use qcow2::{image, to_qcow2, to_raw};

/// Debian's folder of GRUB's parts.
pub const GRUB: &str = "/usr/lib/grub";

/// Where the tools see the folder of a step's files, and the disk in it.
const WORK: &str = "/kiln/work";
const DISK: &str = "/kiln/work/disk.raw";

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
    /// The raw disk that [`build`] makes.
    pub raw: PathBuf,
    /// The metadata of its root file system, which [`changes::skeleton`] makes.
    pub skeleton: PathBuf,
    /// The raw disk compressed, which [`to_qcow2`] makes.
    pub qcow2: PathBuf,
}

/// Why a disk or an image was not made or read.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A partition table cannot be made or used.
    #[error("`{}`", path.display())]
    Layout {
        /// The disk.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: LayoutError,
    },
    /// The archive of the tree is broken.
    #[error("reading the archive of the tree")]
    Tree(#[source] io::Error),
    /// The tree does not say what to boot.
    #[error("the tree needs one kernel with its initramfs in /boot, and has {}", list(found))]
    Kernels {
        /// Releases of the kernels that have both files.
        found: Vec<String>,
    },
    /// The root file system was not made.
    #[error("making the root file system")]
    Root(#[source] SandboxError),
    /// A file did not join the root file system.
    #[error("putting a file into the root file system; debugfs said: {said}")]
    Files {
        /// Its first complaint.
        said: String,
    },
    /// GRUB's parts are not what they should be.
    #[error("GRUB's boot.img of {boot} bytes and core image of {core} bytes do not fit 512 and {room} bytes")]
    Grub {
        /// Bytes of boot.img.
        boot: usize,
        /// Bytes of the core image.
        core: usize,
        /// Bytes of the BIOS-boot partition.
        room: u64,
    },
    /// The identities of a role's nodes are too many.
    #[error("the nodes' identities take {size} bytes, and their partition has {room}")]
    IdentityTooLarge {
        /// Bytes that they take.
        size: usize,
        /// Bytes that there are.
        room: u64,
    },
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] SandboxError),
    /// A file of the host could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl DiskError {
    fn layout(path: &Path, source: LayoutError) -> Self {
        Self::Layout { path: path.to_owned(), source }
    }
}

impl Explain for DiskError {
    fn class(&self) -> Class {
        match self {
            Self::Layout { .. } | Self::IdentityTooLarge { .. } => Class::Input,
            _ => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Layout { source: LayoutError::Size { .. }, .. } => {
                Some("set `disk` of the role to a size such as \"4GiB\"".to_owned())
            }
            Self::Root(_) | Self::Files { .. } => {
                Some("if it ran out of room, raise `disk` of the role".to_owned())
            }
            Self::IdentityTooLarge { .. } => {
                Some("build with `--identity seed`, which keeps identities outside the image".to_owned())
            }
            Self::Tool(error) => error.hint(),
            _ => None,
        }
    }
}

fn list(found: &[String]) -> String {
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

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

/// A folder beside the result, so that the result can be renamed into its place; only its owner can enter it.
fn work_folder(out: &Path) -> io::Result<tempfile::TempDir> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".kiln-").tempdir_in(parent)
}
