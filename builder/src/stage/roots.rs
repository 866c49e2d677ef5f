//! Package roots: a locked closure of binary packages, unpacked, in which the sandbox runs programs.

use std::path::PathBuf;

use crate::deb;
use crate::error::Result;
use crate::lock::format::{Arch, Deb, Lock};
use crate::progress::Progress;
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same packages changes.
const VERSION: u32 = 1;

/// An unpacked root.
#[derive(Debug, Clone)]
pub struct Root {
    /// Its key, part of the keys of what is made in it.
    pub key: StepKey,
    /// Its folder.
    pub path: PathBuf,
}

/// The hashes of packages, sorted: what a step that uses them depends on.
#[must_use]
pub fn hashes<'a>(debs: impl Iterator<Item = &'a Deb>) -> Vec<&'a str> {
    let mut hashes: Vec<&str> = debs.map(|deb| deb.sha256.as_str()).collect();
    hashes.sort_unstable();
    hashes
}

/// The key of a root.
#[must_use]
pub fn key(lock: &Lock, name: &str, arch: Arch) -> StepKey {
    StepKey::new("root", VERSION, &(name, hashes(lock.packages(name, arch))))
}

/// Unpacks a root whose packages are in the store.
///
/// # Errors
/// When a package is damaged or the store cannot be written.
pub fn unpack(store: &Store, lock: &Lock, name: &str, arch: Arch, progress: &Progress) -> Result<Root> {
    let key = key(lock, name, arch);
    let path = store.step(&key, |folder| {
        let task = progress.task(&format!("unpacking package root `{name}`"));
        for package in lock.packages(name, arch) {
            deb::unpack(&store.file(&package.sha256), folder)?;
        }
        deb::finish_root(folder)?;
        task.finish();
        Ok(())
    })?;
    Ok(Root { key, path })
}
