//! Why a disk or an image was not made or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::file::DiskFileError;
use crate::disk::layout::LayoutError;
use crate::ground::error::{Class, Explain};
use crate::sandbox::SandboxError;

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
    /// A disk was not opened.
    #[error(transparent)]
    File(#[from] DiskFileError),
    /// A tool failed.
    #[error(transparent)]
    Tool(#[from] SandboxError),
    /// A file of the host could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl DiskError {
    pub(super) fn layout(path: &Path, source: LayoutError) -> Self {
        Self::Layout { path: path.to_owned(), source }
    }
}

impl Explain for DiskError {
    fn class(&self) -> Class {
        match self {
            Self::Layout { .. } | Self::IdentityTooLarge { .. } | Self::File(_) => Class::Input,
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
            Self::File(error) => error.hint(),
            Self::Tool(error) => error.hint(),
            _ => None,
        }
    }
}

fn list(found: &[String]) -> String {
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}
