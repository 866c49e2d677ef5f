//! Go modules: fetched by the go command, so that proxies, private modules and credentials work as Go people know them,
//! and kept in the store, each verified by the hash that the lock has from the public checksum database.
//!
//! What is compiled of them is `stage::source`'s concern, the format of the lock `lock::go`'s.

mod cache;
mod command;
mod error;
mod fetch;
pub(crate) mod resolve;
mod settings;
mod sum;
mod toolchain;

pub use error::GoError;
pub use fetch::{fetch, missing};

use std::path::Path;

use fs_err as fs;

pub(crate) use cache::lay_out;
pub(crate) use command::list;
pub(crate) use toolchain::{folder_key as toolchain_key, unpack as toolchain};

use crate::error::{Error, Result};
use crate::lock::format::{Build, Go, Lock, Module};
use crate::lock::go::TOOLCHAIN;
use crate::repro::sha256_hex;
use crate::sandbox::SandboxError;
use crate::stage::source::RECIPES;
use crate::store::StepKey;

/// The files of a recipe that say which modules it compiles.
pub const FILES: [&str; 2] = ["go.mod", "go.sum"];

/// Raised when what the store keeps of a module changes.
const VERSION: u32 = 1;

/// Modules that enter the store together: each holds a lock meanwhile.
const AT_ONCE: usize = 100;

/// A build of Go modules with its name.
#[derive(Debug, Clone, Copy)]
pub struct GoBuild<'a> {
    /// Its name in the lock.
    pub name: &'a str,
    /// The build.
    pub build: &'a Build,
    /// How it compiles.
    pub go: &'a Go,
}

/// Where the store keeps a module: a function of what the lock pins of it.
#[must_use]
pub fn key(module: &Module) -> StepKey {
    let Module { path, version, sum, go_mod, .. } = module;
    StepKey::new("module", VERSION, &(path, version, sum, go_mod))
}

/// Whether a module is Go itself.
fn is_toolchain(module: &Module) -> bool {
    module.path == TOOLCHAIN
}

/// The modules that a build reads, but for Go itself.
pub(crate) fn modules<'a>(lock: &'a Lock, build: &'a str) -> impl Iterator<Item = &'a Module> {
    lock.modules(build).filter(|module| !is_toolchain(module))
}

/// The modules that some builds read, in the lock's order.
pub fn of_builds<'a>(lock: &'a Lock, builds: &[GoBuild<'_>]) -> impl Iterator<Item = &'a Module> {
    lock.go.modules.iter().filter(|module| builds.iter().any(|build| module.builds.contains(build.name)))
}

/// The files that the store keeps of a module.
pub(crate) fn parts(module: &Module) -> impl Iterator<Item = &'static str> + use<> {
    cache::files(module).map(|(name, _)| name)
}

/// A module in a folder of the store's is what the lock says.
///
/// # Errors
/// [`GoError::Mismatch`], or when it cannot be read.
pub(crate) fn verify(module: &Module, folder: &Path) -> Result<()> {
    compare(module, &folder.join(cache::GO_MOD), &folder.join(cache::ZIP))
}

/// The same by its files.
fn compare(module: &Module, go_mod: &Path, zip: &Path) -> Result<()> {
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
fn failed(GoBuild { name, build, .. }: GoBuild<'_>, asked: Option<&str>, error: SandboxError) -> Error {
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
