//! Builds from source: a recipe's `build.sh` in a package root, with the unpacked source, no network and no clock but
//! the date of the source. What it makes must be what the lock expects.

mod released;
mod unpack;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use walkdir::WalkDir;

use super::roots;
use crate::error::{Class, Explain, InputError, Result};
use crate::fetch::causes;
use crate::lock::format::{Arch, Build, Lock, Sha256Hex};
use crate::progress::Progress;
use crate::repro::sha256_hex;
use crate::sandbox::Sandbox;
use crate::store::{StepKey, Store};

/// The folder of a project's recipes of source builds.
pub const RECIPES: &str = "recipes";

/// Raised when what this stage gives a recipe changes.
const VERSION: u32 = 1;

/// The hashes of a build's files, beside them.
const SUMS: &str = ".sha256.json";

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
            Self::Source { .. } => None,
        }
    }
}

/// The key of a build: its inputs. What it should make is not one of them: it is compared before a result is kept.
///
/// # Errors
/// When the recipe's folder cannot be read.
pub fn key(project: &Path, lock: &Lock, build: &Build, arch: Arch) -> Result<StepKey> {
    let recipe = recipe(project, build)?;
    let root = roots::key(lock, build.root_for(arch), Arch::HOST);
    let sources = lock.source.get(&build.source).map(|source| &source.files);
    Ok(StepKey::new("source", VERSION, &(recipe, sources, root, &build.env, arch)))
}

/// The files of a recipe with their hashes.
fn recipe(project: &Path, build: &Build) -> Result<BTreeMap<String, String>> {
    let folder = project.join(RECIPES).join(&build.recipe);
    let script = folder.join("build.sh");
    if !script.exists() {
        let hint = "its name stands in the lockfile's `build` table".to_owned();
        return Err(InputError::Missing { what: "build recipe", path: script, hint }.into());
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

/// Runs a build, or finds its result in the store. Returns the folder of its outputs.
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
    let key = key(project, lock, build, arch)?;
    let root = roots::unpack(store, lock, build.root_for(arch), Arch::HOST, progress)?;
    let folder = store.step(&key, |folder| {
        let task = progress.task(&format!("compiling {name} from source"));
        let (work, out) = (folder.join(".work"), folder.join(".out"));
        let source = work.join("src");
        for path in [&source, &out, &work.join("tmp")] {
            fs::create_dir_all(path)?;
        }
        let files = lock.source.get(&build.source).into_iter().flat_map(|source| &source.files);
        let files = files.map(|file| (file.file.as_str(), store.file(&file.sha256)));
        let released = unpack::lay_out(files, &work, &source)
            .and_then(|()| released::released(&source))
            .map_err(|error| BuildError::Source { build: name.to_owned(), message: causes(&error) })?;
        let mut sandbox = Sandbox::new(&root.path)
            .show(&project.join(RECIPES).join(&build.recipe), "/kiln/recipe")
            .lend(&source, "/kiln/src")
            .lend(&out, "/kiln/out")
            .lend(&work.join("tmp"), "/kiln/tmp")
            .cwd("/kiln/src")
            .env("HOME", "/kiln/tmp")
            .env("TMPDIR", "/kiln/tmp")
            .env("KILN_ARCH", arch.to_string())
            .env("SOURCE_DATE_EPOCH", released.to_string());
        for (variable, value) in &build.env {
            sandbox = sandbox.env(variable, value);
        }
        sandbox.run(["bash", "-eu", "/kiln/recipe/build.sh"])?;
        let made = sums(&out)?;
        compare(name, build, arch, &made, None)?;
        for file in made.keys() {
            fs::rename(out.join(file), folder.join(file))?;
        }
        fs::write(folder.join(SUMS), serde_json::to_vec(&made).map_err(std::io::Error::from)?)?;
        for leftover in [&work, &out] {
            crate::store::remove_tree(leftover)?;
        }
        task.finish();
        Ok(())
    })?;
    check(name, build, arch, &folder)?;
    Ok(folder)
}

/// The hashes of the files that a recipe made.
fn sums(out: &Path) -> Result<BTreeMap<String, String>> {
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        sums.insert(entry.file_name().to_string_lossy().into_owned(), sha256_hex(fs::read(entry.path())?));
    }
    Ok(sums)
}

/// What the store has is what the lock expects: the lock may say something else now than when it was made.
fn check(name: &str, build: &Build, arch: Arch, folder: &Path) -> Result<()> {
    let made = serde_json::from_slice(&fs::read(folder.join(SUMS))?).map_err(std::io::Error::from)?;
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
        let found = super::image::hash(&folder.join(file))?;
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
