//! What can be wrong with a build from source.

use std::path::{Path, PathBuf};

use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain};
use crate::ground::hash::Sha256Hex;

/// The result is not the lock's.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A recipe made other bytes than the lock expects.
    #[error(
        "the source build `{build}` made another `{file}`\n  expected sha256:{expected}\n  found    sha256:{found}"
    )]
    Mismatch {
        /// Name of the build.
        build: String,
        /// Its output.
        file: String,
        /// The lock's hash.
        expected: Sha256Hex,
        /// The hash of what it made.
        found: String,
        /// Where an earlier build's result stays.
        kept: Option<PathBuf>,
    },
    /// A recipe did not make what the lock names.
    #[error("the source build `{build}` made no `{file}`")]
    NoOutput {
        /// Name of the build.
        build: String,
        /// Its output.
        file: String,
        /// Where an earlier build's result stays.
        kept: Option<PathBuf>,
    },
    /// Nobody wrote down yet what it makes.
    #[error("the lockfile does not say what the source build `{build}` makes for {arch}")]
    Unexpected {
        /// Name of the build.
        build: String,
        /// The architecture.
        arch: Arch,
    },
    /// A source archive is not one.
    #[error("unpacking the source of `{build}`: {message}")]
    Source {
        /// Name of the build.
        build: String,
        /// The fact.
        message: String,
    },
}

impl Explain for BuildError {
    fn class(&self) -> Class {
        Class::Host
    }

    fn hint(&self) -> Option<String> {
        const MEANT: &str = "if the recipe was changed on purpose, write the found hash into the lockfile";
        let again = |folder: &Path| format!("remove `{}`, and the next build compiles it", folder.display());
        match self {
            Self::Mismatch { kept: None, .. } => {
                Some(format!("{MEANT}; the next build compiles once more, and compares"))
            }
            Self::Mismatch { kept: Some(folder), .. } => Some(format!("{MEANT}; else {}", again(folder))),
            Self::NoOutput { kept, .. } => kept.as_deref().map(again),
            Self::Unexpected { build, .. } => Some(format!("builder lock compile {build}")),
            Self::Source { .. } => None,
        }
    }
}
