//! Whether modules and recipes are what the lock says, and what the go command says when it cannot bring one.

use std::path::Path;

use fs_err as fs;

use crate::go::error::{self, GoError};
use crate::go::module::{FILES, GoBuild};
use crate::go::{cache, sum};
use crate::ground::error::{Error, Result};
use crate::ground::repro::sha256_hex;
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::Module;
use crate::sandbox::SandboxError;

/// A module in a folder of the store's is what the lock says.
///
/// # Errors
/// [`GoError::Mismatch`], or when it cannot be read.
pub(crate) fn verify(module: &Module, folder: &Path) -> Result<()> {
    compare(module, &folder.join(cache::GO_MOD), &folder.join(cache::ZIP))
}

/// The same by its files.
pub(super) fn compare(module: &Module, go_mod: &Path, zip: &Path) -> Result<()> {
    let mut pairs = Vec::new();
    if let Some(expected) = &module.go_mod {
        pairs.push((expected, sum::of_go_mod(&fs::read(go_mod)?)));
    }
    if let Some(expected) = &module.sum {
        pairs.push((expected, sum::of_zip(zip)?));
    }
    match pairs.into_iter().find(|(expected, found)| *expected != found) {
        Some((expected, found)) => {
            let (module, expected) = (module.to_string(), expected.clone());
            Err(GoError::Mismatch { module, expected, found }.into())
        }
        None => Ok(()),
    }
}

/// The recipe's go.mod and go.sum are those that the lock was made of.
///
/// # Errors
/// [`GoError::Changed`], or when they cannot be read.
pub fn check_recipe(project: &Path, GoBuild { name, build, go }: GoBuild<'_>) -> Result<()> {
    for file in FILES {
        let path = project.join(RECIPES).join(&build.recipe).join(file);
        let found = path.exists().then(|| fs::read(&path).map(sha256_hex)).transpose()?;
        if found.as_deref() != go.files.get(file).map(AsRef::as_ref) {
            return Err(GoError::Changed { path, build: name.to_owned() }.into());
        }
    }
    Ok(())
}

/// What the go command's failure is for a build; `asked` is the module that it should have brought.
pub(super) fn failed(
    GoBuild { name, build, .. }: GoBuild<'_>,
    asked: Option<&str>,
    error: SandboxError,
) -> Error {
    match error {
        SandboxError::Failed { stderr, .. } => {
            let (build, recipe) = (name.to_owned(), build.recipe.clone());
            let told = error::told(&stderr);
            let message = match asked {
                Some(module) if !told.contains(module) => format!("{module}: {told}"),
                _ => told,
            };
            GoError::Fetch { build, recipe, message }.into()
        }
        other => other.into(),
    }
}
