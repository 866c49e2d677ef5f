//! `builder lock compile`: which builds nobody knows the results of, and writing them down.

use std::collections::BTreeMap;
use std::path::Path;

use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain, Result};
use crate::ground::hash::Sha256Hex;
use crate::ground::input::nearest;
use crate::lock::{edit, replace};
use crate::lockfile::{Lock, LockError};

/// There is no such build.
#[derive(Debug, thiserror::Error)]
#[error("the lockfile has no build `{name}`")]
pub struct UnknownBuild {
    name: String,
    hint: String,
}

impl Explain for UnknownBuild {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

/// The builds of some names, else those that the lock expects nothing of for an architecture.
///
/// # Errors
/// [`UnknownBuild`].
pub fn wanted(lock: &Lock, names: &[String], arch: Arch) -> Result<Vec<String>, UnknownBuild> {
    if let Some(name) = names.iter().find(|name| !lock.build.contains_key(*name)) {
        let known = || lock.build.keys().map(String::as_str);
        let hint = match nearest(name, known()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
        };
        return Err(UnknownBuild { name: name.clone(), hint });
    }
    if !names.is_empty() {
        return Ok(names.to_vec());
    }
    let unknown =
        lock.build.iter().filter(|(_, build)| build.output.get(&arch).is_none_or(BTreeMap::is_empty));
    Ok(unknown.map(|(name, _)| name.clone()).collect())
}

/// Writes down what a build makes for an architecture.
///
/// # Errors
/// [`LockError::Changed`], or when it cannot be written.
pub fn write(lockfile: &Path, build: &str, arch: Arch, made: &BTreeMap<String, Sha256Hex>) -> Result<()> {
    let text = Lock::read(lockfile)?;
    let written = edit::write_output(&text, build, arch, made).map_err(|error| {
        LockError::from(crate::ground::input::wrong(
            lockfile,
            &text,
            error.span(),
            error.message().to_owned(),
            None,
        ))
    })?;
    replace(lockfile, &text, &written)
}
