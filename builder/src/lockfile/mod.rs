//! The lockfile: every input of every release, pinned.
//!
//! [`mod@format`] is the file's types, [`Lock::load`] the only way to one that can be trusted. It resolves nothing: that is
//! [`lock`](crate::lock)'s.

pub mod build;
pub mod component;
mod consistent;
pub mod container;
pub mod format;
pub mod go;
#[cfg(test)]
mod reference;

use std::path::{Path, PathBuf};

use crate::ground::error::{Class, Explain, InputError};
use crate::ground::input;
pub(crate) use consistent::COMPONENTS;
use consistent::Fault;
pub use format::{Lock, VERSION};

/// Why a lockfile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is missing or malformed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// It was written by a newer Kiln.
    #[error("{} has version {found}; this builder reads version {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Two of its parts disagree.
    #[error("{}: {message}", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// The fact, with the key.
        message: String,
        /// How to mend it.
        hint: Option<String>,
    },
    /// Somebody wrote it while an answer to what it said before was on its way.
    #[error("{} was changed meanwhile; it is left as it is", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl Explain for LockError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Input(error) => error.hint(),
            Self::Newer { .. } => Some("use the builder that wrote it, or a newer one".to_owned()),
            Self::Inconsistent { hint, .. } => hint.clone(),
            Self::Changed { .. } => Some("run the same command again".to_owned()),
        }
    }
}

/// The lockfile of a project.
#[must_use]
pub fn path(project: &Path) -> PathBuf {
    project.join("lockfile.toml")
}

/// Only the version: read when the whole cannot be, so that a newer file is named as such and not as a shape error.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

impl Lock {
    /// Reads and validates a lockfile.
    ///
    /// # Errors
    /// [`LockError`] names the file, the line and the key.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        Self::parse(path, &Self::read(path)?)
    }

    /// Validates the text of a lockfile; `path` is for messages.
    ///
    /// # Errors
    /// As [`Lock::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, LockError> {
        let lock = Self::draft(path, text)?;
        lock.check(path)?;
        Ok(lock)
    }

    /// Reads a lockfile that the update has yet to fill in, or fill in anew: only what people write is validated. For
    /// `lock update` alone, which takes its tools from the lock as it was.
    ///
    /// # Errors
    /// As [`Lock::load`].
    pub fn load_draft(path: &Path) -> Result<Self, LockError> {
        Self::draft(path, &Self::read(path)?)
    }

    /// Whether the parts of a lock that the update filled in agree.
    pub(crate) fn check(&self, path: &Path) -> Result<(), LockError> {
        self.check_filled().map_err(|fault| inconsistent(path, fault))
    }

    /// The text of a lockfile.
    pub(crate) fn read(path: &Path) -> Result<String, InputError> {
        input::read(path, || InputError::Missing {
            what: "lockfile",
            path: path.to_owned(),
            hint: "run in Kiln's folder, or name a lockfile with `--lockfile FILE`".to_owned(),
        })
    }

    /// A lock that the update has yet to fill in: what a person wrote is validated.
    pub(crate) fn draft(path: &Path, text: &str) -> Result<Self, LockError> {
        let newer = |found| LockError::Newer { path: path.to_owned(), found };
        let lock: Self = match input::parse(path, text) {
            Ok(lock) => lock,
            Err(error) => {
                let Versioned { version: found } = input::parse(path, text)?;
                return Err(if found > VERSION { newer(found) } else { error.into() });
            }
        };
        if lock.version > VERSION {
            return Err(newer(lock.version));
        }
        lock.check_written().map_err(|fault| inconsistent(path, fault))?;
        Ok(lock)
    }
}

fn inconsistent(path: &Path, Fault { message, hint }: Fault) -> LockError {
    LockError::Inconsistent { path: path.to_owned(), message, hint }
}
