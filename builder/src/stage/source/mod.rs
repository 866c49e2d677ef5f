//! Builds from source, in a package root without a network and with no clock but the date of the source: a source package
//! of Debian by its recipe's script, or Go modules. What they make must be what the lock expects.

mod debian;
mod error;
pub mod go;
mod released;
mod unpack;
mod workplace;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use walkdir::WalkDir;

use crate::deb::roots;
use crate::ground::arch::Arch;
use crate::ground::error::{InputError, Result};
use crate::ground::hash::{Sha256Hex, sha256_of_file};
use crate::ground::progress::Progress;
use crate::ground::repro::sha256_hex;
use crate::lockfile::Lock;
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::{Build, BuildFrom, Go};
use crate::role::ComponentFile;
use crate::store::{StepKey, Store};
pub use error::BuildError;
use workplace::Workplace;

/// Raised when what this stage gives a recipe changes.
const VERSION: u32 = 1;

/// The hashes of a build's files, beside them.
const SUMS: &str = ".sha256.json";

/// The key of a build: its inputs. What it should make is not one of them: it is compared before a result is kept.
///
/// # Errors
/// When the recipe's folder cannot be read.
pub fn key(project: &Path, lock: &Lock, (name, build): (&str, &Build), arch: Arch) -> Result<StepKey> {
    let recipe = recipe(project, build)?;
    let root = roots::key(lock, build.root_for(arch), Arch::HOST);
    match &build.from {
        BuildFrom::Debian { source } => {
            let sources = lock.source.get(source).map(|source| &source.files);
            Ok(StepKey::new("source", VERSION, &(recipe, sources, root, &build.env, arch)))
        }
        BuildFrom::Go(go) => {
            let modules: Vec<_> =
                lock.modules(name).map(|module| (&module.path, &module.version, &module.sum)).collect();
            // Go compiles Go with nothing of the root.
            let root = go.cgo.then_some(root);
            let how = Go { names: BTreeMap::new(), files: BTreeMap::new(), ..Go::clone(go) };
            Ok(StepKey::new("source", VERSION, &(recipe, modules, how, root, &build.env, arch)))
        }
    }
}

/// The files of a recipe with their hashes.
fn recipe(project: &Path, build: &Build) -> Result<BTreeMap<String, String>> {
    let folder = project.join(RECIPES).join(&build.recipe);
    let main = folder.join(if build.go().is_some() { "go.mod" } else { "build.sh" });
    if !main.exists() {
        let hint = "its name stands in the lockfile's `build` table".to_owned();
        return Err(InputError::Missing { what: "build recipe", path: main, hint }.into());
    }
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(&folder).sort_by_file_name() {
        let entry = entry.map_err(std::io::Error::from)?;
        if entry.file_type().is_file() {
            let name =
                entry.path().strip_prefix(&folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
            files.insert(name, sha256_hex(fs::read(entry.path())?));
        }
    }
    Ok(files)
}

/// Runs a build, or finds its result in the store. Returns the folder of its outputs, which are what the lock expects.
///
/// # Errors
/// [`BuildError`], or the recipe's own failure.
pub fn build(
    project: &Path,
    store: &Store,
    lock: &Lock,
    (name, build): (&str, &Build),
    arch: Arch,
    progress: &Progress,
) -> Result<PathBuf> {
    if build.output.get(&arch).is_none_or(BTreeMap::is_empty) {
        return Err(BuildError::Unexpected { build: name.to_owned(), arch }.into());
    }
    let folder = make(project, store, lock, (name, build), arch, progress)?;
    check(name, build, arch, &folder)?;
    Ok(folder)
}

/// The same, whatever it makes: for whoever writes down what it should be.
///
/// # Errors
/// The recipe's own failure; [`BuildError`] when the lock expects something else.
pub fn make(
    project: &Path,
    store: &Store,
    lock: &Lock,
    (name, build): (&str, &Build),
    arch: Arch,
    progress: &Progress,
) -> Result<PathBuf> {
    let key = key(project, lock, (name, build), arch)?;
    store.step(&key, |folder| {
        let root = roots::unpack(store, lock, build.root_for(arch), Arch::HOST, progress)?.path;
        let (work, out) = (folder.join(".work"), folder.join(".out"));
        for path in [&out, &work.join("tmp")] {
            fs::create_dir_all(path)?;
        }
        let place = Workplace { project, store, lock, name, build, arch, progress, root, work, out };
        match &build.from {
            BuildFrom::Debian { source } => debian::compile(&place, source)?,
            BuildFrom::Go(go) => go::compile(&place, go)?,
        }
        let made = sums(&place.out)?;
        compare(name, build, arch, &made, None)?;
        for file in made.keys() {
            fs::rename(place.out.join(file), folder.join(file))?;
        }
        fs::write(folder.join(SUMS), serde_json::to_vec(&made).map_err(std::io::Error::from)?)?;
        for leftover in [&place.work, &place.out] {
            crate::store::remove_tree(leftover)?;
        }
        Ok(())
    })
}

/// The files of a result, by the names that recipes use: a program of several names stands under each.
#[must_use]
pub fn files(build: &Build, arch: Arch, folder: &Path) -> BTreeMap<String, ComponentFile> {
    let mut files = BTreeMap::new();
    for file in build.output.get(&arch).into_iter().flat_map(BTreeMap::keys) {
        let path = folder.join(file);
        for name in build.go().and_then(|go| go.names.get(file)).into_iter().flatten() {
            files.insert(name.clone(), ComponentFile { path: path.clone(), of: Some(file.clone()) });
        }
        files.insert(file.clone(), path.into());
    }
    files
}

/// The hashes of what a build made, from its folder in the store.
///
/// # Errors
/// When they cannot be read.
pub fn made(folder: &Path) -> Result<BTreeMap<String, Sha256Hex>> {
    Ok(serde_json::from_slice(&fs::read(folder.join(SUMS))?).map_err(std::io::Error::from)?)
}

/// The hashes of the files that a recipe made.
fn sums(out: &Path) -> Result<BTreeMap<String, String>> {
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        // A link may lead anywhere on this machine.
        if !entry.file_type()?.is_file() {
            continue;
        }
        sums.insert(entry.file_name().to_string_lossy().into_owned(), sha256_hex(fs::read(entry.path())?));
    }
    Ok(sums)
}

/// What the store has is what the lock expects: the lock may say something else now than when it was made.
fn check(name: &str, build: &Build, arch: Arch, folder: &Path) -> Result<()> {
    let made = made(folder)?.into_iter().map(|(file, hash)| (file, hash.to_string())).collect();
    Ok(compare(name, build, arch, &made, Some(folder))?)
}

/// What was made is what the lock expects; `kept` is where it stays when it is not.
fn compare(
    name: &str,
    build: &Build,
    arch: Arch,
    made: &BTreeMap<String, String>,
    kept: Option<&Path>,
) -> Result<(), BuildError> {
    for (file, expected) in build.output.get(&arch).into_iter().flatten() {
        let (build, file, kept) = (name.to_owned(), file.clone(), kept.map(Path::to_owned));
        match made.get(&file) {
            Some(found) if found == expected.as_str() => {}
            Some(found) => {
                let (expected, found) = (expected.clone(), found.clone());
                return Err(BuildError::Mismatch { build, file, expected, found, kept });
            }
            None => return Err(BuildError::NoOutput { build, file, kept }),
        }
    }
    Ok(())
}

/// As [`check`], of the bytes themselves: what a result must be before it leaves this store or enters it.
///
/// # Errors
/// [`BuildError`], or when a file cannot be read.
pub(crate) fn verify(name: &str, build: &Build, arch: Arch, folder: &Path) -> Result<()> {
    check(name, build, arch, folder)?;
    for (file, expected) in build.output.get(&arch).into_iter().flatten() {
        let found = sha256_of_file(&folder.join(file))?;
        if found != expected.as_str() {
            let (build, file, expected) = (name.to_owned(), file.clone(), expected.clone());
            let kept = Some(folder.to_owned());
            return Err(BuildError::Mismatch { build, file, expected, found, kept }.into());
        }
    }
    Ok(())
}

/// Makes a result of files that are the lock's outputs, and that were verified, in their folder.
///
/// # Errors
/// When something cannot be written.
pub(crate) fn adopt(build: &Build, arch: Arch, folder: &Path) -> Result<()> {
    let made: BTreeMap<&String, &Sha256Hex> = build.output.get(&arch).into_iter().flatten().collect();
    for file in made.keys() {
        fs::set_permissions(folder.join(file), std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(fs::write(folder.join(SUMS), serde_json::to_vec(&made).map_err(std::io::Error::from)?)?)
}
