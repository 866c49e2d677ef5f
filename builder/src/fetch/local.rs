//! Files of this machine that the lock names: verified before every build and copied into the store.
//!
//! A file that the store has is read all the same: one that was replaced without a word to the lock is a mistake, and
//! the old one is not built in silently.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::ground::error::{Class, Explain, Result};
use crate::ground::hash::Sha256Hex;
use crate::store::Store;

/// A file of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its key in the lock, for messages.
    pub key: String,
    /// What `path` of the component names.
    pub path: PathBuf,
    /// The component's other files are in the same folder; else `path` may be the file itself.
    pub in_folder: bool,
    /// Its name.
    pub name: String,
    /// Content.
    pub sha256: Sha256Hex,
}

impl LocalFile {
    /// Where the file itself is.
    #[must_use]
    pub fn found(&self) -> PathBuf {
        let Self { path, in_folder, name, .. } = self;
        if *in_folder || !path.is_file() { path.join(name) } else { path.clone() }
    }
}

/// Why a file of this machine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It is not there.
    #[error("`{key}`: there is no file `{}`", path.display())]
    Missing {
        /// The lock's key.
        key: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// It is not what the lock says.
    #[error(
        "`{key}`: the file is not the one that the lockfile names\n  file     {}\n  expected sha256:{expected}\n  found    sha256:{found}",
        path.display()
    )]
    Differs {
        /// The lock's key.
        key: String,
        /// The file.
        path: PathBuf,
        /// The lock's hash.
        expected: Sha256Hex,
        /// The file's.
        found: String,
    },
}

impl Explain for LocalError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => {
                "put the file there, or correct `path`; it starts at the lockfile's folder".to_owned()
            }
            Self::Differs { key, found, .. } => {
                format!("put the expected file back, or accept this one: `{key} = \"{found}\"`")
            }
        })
    }
}

/// Verifies the files, and copies into the store what it does not have.
///
/// # Errors
/// [`LocalError`] of the first file that is missing or another one.
pub fn admit(store: &Store, files: &[LocalFile]) -> Result<()> {
    files.iter().try_for_each(|file| admit_one(store, file))
}

fn admit_one(store: &Store, file: &LocalFile) -> Result<()> {
    let (LocalFile { key, sha256, .. }, path) = (file, file.found());
    // A pipe or a device would be read for ever.
    if !path.is_file() {
        return Err(LocalError::Missing { key: key.clone(), path }.into());
    }
    let _lock = store.lock(sha256.as_str())?;
    let there = store.file(sha256).exists();
    let found = if there { copy(&path, io::sink())? } else { into_store(store, &path, sha256)? };
    if found != sha256.as_str() {
        if !there {
            fs::remove_file(store.partial(sha256))?;
        }
        let (key, expected) = (key.clone(), sha256.clone());
        return Err(LocalError::Differs { key, path, expected, found }.into());
    }
    if !there {
        store.admit(sha256)?;
    }
    Ok(())
}

/// Copies a file to where downloads grow and returns the SHA-256 of what was copied.
fn into_store(store: &Store, path: &Path, sha256: &Sha256Hex) -> Result<String> {
    let need = store.need(fs::metadata(path)?.len(), "a file of this machine");
    need.check()?;
    let partial = store.partial(sha256);
    let copied = fs::File::create(&partial).and_then(|mut out| {
        let found = copy(path, &mut out)?;
        out.sync_all()?;
        Ok(found)
    });
    copied.map_err(|error| {
        // How much room there is counts before what takes it goes; nothing goes on with a part of a copy.
        let error = need.explain(error.into());
        let _ = fs::remove_file(&partial);
        error
    })
}

/// Copies a file and returns the SHA-256 of what was copied.
fn copy(path: &Path, mut out: impl Write) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = sha2::Sha256::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(sha2::Digest::finalize(digest)));
        }
        sha2::Digest::update(&mut digest, &buffer[..read]);
        out.write_all(&buffer[..read])?;
    }
}

#[cfg(test)]
mod tests;
