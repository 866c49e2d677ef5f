//! Why the file of a disk was not opened.

use std::io;
use std::path::PathBuf;

use crate::ground::call;
use crate::ground::error::{Class, Explain};

/// The largest disk that is read, bytes: what a header says beyond it is a mistake or an attack.
pub const LARGEST: u64 = 8 << 40;

/// Why the file of a disk was not opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskFileError {
    /// It is no disk that is read here.
    #[error("`{}` {fault}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is wrong with a file, as the end of a sentence.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A folder, a device or a pipe.
    #[error("is no regular file")]
    NoFile,
    /// Another format.
    #[error("is {0}, not a raw disk or a qcow2 image")]
    Other(&'static str),
    /// A disk without bytes, or one of too many.
    #[error("says that its disk has {0} bytes; 1 to {LARGEST} are read")]
    Size(u64),
    /// It ends in its own header or table.
    #[error("is a qcow2 image that ends in its {0}")]
    Short(&'static str),
    /// A qcow2 version that nobody has written.
    #[error("is a qcow2 image of version {0}; 2 and 3 are read")]
    Version(u32),
    /// A value that no program writes.
    #[error("is a qcow2 image with {field} = {value}")]
    Value {
        /// The field, as QEMU's description of the format names it.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A feature that cannot be read.
    #[error("is a qcow2 image with {0}, which is not read here")]
    Feature(&'static str),
    /// Its bytes are in another file, too.
    #[error("is a qcow2 image over `{0}`, and one file is read here")]
    Backing(String),
}

impl Explain for DiskFileError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        let Self::Wrong { path, fault } = self else { return None };
        let path = call::quote(&path.display().to_string());
        match fault {
            Fault::Other(name) if name.starts_with("compressed") => Some("unpack it first".to_owned()),
            Fault::Other(_) | Fault::Backing(_) => {
                Some(format!("`qemu-img convert -O qcow2 {path} whole.qcow2` makes one file of it"))
            }
            Fault::Short(_) => Some("copy it again, the end is missing".to_owned()),
            _ => None,
        }
    }
}
