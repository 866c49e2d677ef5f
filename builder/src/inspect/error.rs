//! Why an image could not be looked into.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::layout::LayoutError;
use crate::ground::call;
use crate::ground::error::{Class, Explain};

/// Why an image could not be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Its partition table is damaged.
    #[error("`{}`", path.display())]
    Table {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: LayoutError,
    },
    /// It is damaged, or cannot be read.
    #[error("`{}`", path.display())]
    Damaged {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// It has no file system that is read here.
    #[error("`{}` has no ext4 file system{}", path.display(), place(*number))]
    NoFiles {
        /// The image.
        path: PathBuf,
        /// The partition that was asked for.
        number: Option<usize>,
    },
    /// There is nothing at a path.
    #[error("`{}` has no `{wanted}`", path.display())]
    NoFile {
        /// The image.
        path: PathBuf,
        /// The path in it.
        wanted: String,
        /// A path that is there and looks like it.
        nearest: Option<String>,
    },
    /// What is at a path has no bytes of its own.
    #[error("`{wanted}` in `{}` is {kind}", path.display())]
    NoBytes {
        /// The image.
        path: PathBuf,
        /// The path in it.
        wanted: String,
        /// What it is.
        kind: &'static str,
    },
}

fn place(number: Option<usize>) -> String {
    number.map(|number| format!(" in partition {number}")).unwrap_or_default()
}

impl InspectError {
    pub(super) fn table(path: &Path, source: LayoutError) -> Self {
        Self::Table { path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: &Path, source: io::Error) -> Self {
        Self::Damaged { path: path.to_owned(), source }
    }
}

impl Explain for InspectError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoFiles { path, .. } => {
                let image = call::quote(&path.display().to_string());
                Some(format!("`builder inspect {image}` lists its partitions"))
            }
            Self::NoFile { nearest, .. } => nearest.as_ref().map(|path| format!("did you mean `{path}`?")),
            Self::Table { .. } | Self::Damaged { .. } | Self::NoBytes { .. } => None,
        }
    }
}
