//! What `lock update` finds out about a build of Go modules: which modules it reads on every architecture, their hashes
//! as the checksum database has them, and the version and date of the module that it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;
use walkdir::WalkDir;

use crate::deb::roots;
use crate::go::command::{Command, list};
use crate::go::module::{AT_ONCE, FILES, GoBuild, is_toolchain};
use crate::go::verify::failed;
use crate::go::{GoError, cache, sum, toolchain};
use crate::ground::arch::{ARCHITECTURES, Arch};
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::ground::repro::sha256_hex;
use crate::lockfile::Lock;
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::{Go, Module};
use crate::lockfile::go::TOOLCHAIN;
use crate::store::Store;

/// The scratch folder of an update.
const SCRATCH: &str = "go-resolve";

/// What follows from a recipe's go.mod and go.sum.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The build's table with version, date and the hashes of the files.
    pub(crate) go: Go,
    /// The modules that it reads, Go itself among them.
    pub(crate) modules: Vec<Module>,
}

/// What `go list -m -json` says of a module.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    version: String,
    #[serde(default)]
    time: String,
}

/// What asks the go command about builds.
pub(crate) struct Resolver<'a> {
    pub(crate) project: &'a Path,
    pub(crate) store: &'a Store,
    pub(crate) lock: &'a Lock,
    pub(crate) progress: &'a Progress,
}

impl Resolver<'_> {
    /// Looks whether the lock still follows from a build's recipe.
    ///
    /// # Errors
    /// [`GoError::NoFile`], or when a file cannot be read.
    pub(crate) fn is_current(&self, build: GoBuild<'_>) -> Result<bool> {
        let known =
            |module: &Module| module.version == build.go.toolchain_version() && module.path == TOOLCHAIN;
        Ok(files(self.project, build)? == build.go.files && self.lock.modules(build.name).any(known))
    }

    /// Asks for everything anew.
    ///
    /// # Errors
    /// [`GoError`]; the checksum database counts, unless the person's settings leave it out.
    pub(crate) fn resolve(&self, build: GoBuild<'_>) -> Result<Resolved> {
        let files = files(self.project, build)?;
        let root = roots::unpack(self.store, self.lock, &build.build.root, Arch::HOST, self.progress)?.path;
        let _alone = self.store.lock("go-resolve")?;
        let scratch = self.store.scratch(SCRATCH);
        // Of these very files: what an update that failed has fetched is there the next time.
        let own = scratch.join(sha256_hex(serde_json::to_vec(&files).map_err(std::io::Error::from)?));
        let task = self.progress.task(&format!("resolving the Go modules of `{}`", build.name));
        let (toolchain, go_module) = self.toolchain(&root, &scratch.join("toolchain"), build)?;
        let command = Command::new(&root, Some(&toolchain), &own)?;
        let recipe = self.project.join(RECIPES).join(&build.build.recipe);
        let run = |command: &Command, args: &[&str]| {
            command.run(args, || ()).map_err(|error| failed(build, None, error))
        };
        for args in list(build.go) {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            for arch in ARCHITECTURES {
                run(&command.of_recipe(&recipe, build.go, arch), &args)?;
            }
        }
        let mut modules = Self::found(&own.join("cache"), build)?;
        // In a folder without a go.sum, so that the checksum database has the last word.
        let names: Vec<String> =
            modules.iter().filter(|module| module.sum.is_some()).map(ToString::to_string).collect();
        if !names.is_empty() {
            let download = ["mod", "download"].into_iter().chain(names.iter().map(String::as_str));
            run(&command, &download.collect::<Vec<_>>())?;
        }
        let keep = |module: &Module| (super::key(module), cache::keep(&own.join("cache"), module));
        for some in modules.chunks(AT_ONCE) {
            self.store.steps(some.iter().map(keep).collect())?;
        }
        modules.push(go_module);
        modules.sort();
        let mut go = Go { files, version: String::new(), released: String::new(), ..build.go.clone() };
        if let Some(module) = &build.go.module {
            let command = command.of_recipe(&recipe, build.go, Arch::HOST);
            let listed = run(&command, &["list", "-m", "-json", module]).map_err(|_| {
                let (path, build, module) = (recipe.join(FILES[0]), build.name.to_owned(), module.clone());
                GoError::NoModule { path, build, module }
            })?;
            let listed: Listed = serde_json::from_slice(&listed).map_err(std::io::Error::from)?;
            (go.version, go.released) = (listed.version, listed.time);
        }
        task.finish();
        Ok(Resolved { go, modules })
    }

    /// The newest version of the module that a build is about: of Kubernetes the newest patch of the same minor version.
    ///
    /// # Errors
    /// [`GoError::Fetch`] when nobody tells.
    pub(crate) fn newest(&self, build: GoBuild<'_>) -> Result<Option<String>> {
        let Some(module) = &build.go.module else { return Ok(None) };
        let root = roots::unpack(self.store, self.lock, &build.build.root, Arch::HOST, self.progress)?.path;
        let scratch = self.store.scratch("go-newest");
        let command = Command::new(&root, None, &scratch)?;
        let mut numbers = build.go.version.splitn(3, '.');
        let asked = match (module.as_str(), numbers.next(), numbers.next()) {
            ("k8s.io/kubernetes", Some(major), Some(minor)) => format!("{module}@{major}.{minor}"),
            _ => format!("{module}@latest"),
        };
        let listed = command
            .run(&["list", "-m", "-json", &asked], || ())
            .map_err(|error| failed(build, None, error))?;
        let listed: Listed = serde_json::from_slice(&listed).map_err(std::io::Error::from)?;
        crate::store::remove_tree(&scratch)?;
        Ok(Some(listed.version))
    }

    /// The Go of a build, with its module as the checksum database has it.
    fn toolchain(&self, root: &Path, scratch: &Path, build: GoBuild<'_>) -> Result<(PathBuf, Module)> {
        let known = toolchain::module(self.lock, build.go);
        if let Some(module) = known.filter(|module| self.store.made(&super::key(module)).is_some()) {
            let folder = super::toolchain(self.store, self.lock, build.go, self.progress)?;
            return Ok((
                folder,
                Module { builds: BTreeSet::from([build.name.to_owned()]), ..module.clone() },
            ));
        }
        let command = Command::new(root, None, scratch)?;
        let name = format!("{TOOLCHAIN}@{}", build.go.toolchain_version());
        command.run(&["mod", "download", &name], || ()).map_err(|error| failed(build, None, error))?;
        let cache = scratch.join("cache");
        let found = Self::found(&cache, build)?.into_iter().find(is_toolchain);
        let lost = || GoError::Toolchain { module: name.clone(), message: "it did not come".to_owned() };
        let module = found.ok_or_else(lost)?;
        self.store.steps(vec![(super::key(&module), cache::keep(&cache, &module))])?;
        crate::store::remove_tree(scratch)?;
        let mut lock = self.lock.clone();
        lock.go.modules.push(module.clone());
        Ok((super::toolchain(self.store, &lock, build.go, self.progress)?, module))
    }

    /// The modules that a cache has.
    fn found(cache: &Path, build: GoBuild<'_>) -> Result<Vec<Module>> {
        let mut modules: BTreeMap<(String, String), Module> = BTreeMap::new();
        let downloads = cache.join(cache::DOWNLOADS);
        fs::create_dir_all(&downloads)?;
        for entry in WalkDir::new(&downloads) {
            let entry = entry.map_err(std::io::Error::from)?;
            let path = entry.path();
            let inner = path.strip_prefix(&downloads).ok().and_then(Path::to_str);
            let Some((module, file)) = inner.and_then(|inner| inner.split_once("/@v/")) else { continue };
            let Some((version, suffix @ ("mod" | "zip"))) = file.rsplit_once('.') else { continue };
            let (module, version) = (cache::plain(module), cache::plain(version));
            let found = modules.entry((module.clone(), version.clone())).or_insert_with(|| Module {
                path: module,
                version,
                builds: BTreeSet::from([build.name.to_owned()]),
                sum: None,
                go_mod: None,
                size: None,
            });
            if suffix == "mod" {
                found.go_mod = Some(sum::of_go_mod(&fs::read(path)?));
            } else {
                (found.sum, found.size) = (Some(sum::of_zip(path)?), Some(fs::metadata(path)?.len()));
            }
        }
        Ok(modules.into_values().collect())
    }
}

/// Removes what was kept for the case that an update fails.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn finish(store: &Store) -> std::io::Result<()> {
    crate::store::remove_tree(&store.scratch(SCRATCH))
}

/// The hashes of a recipe's go.mod and, where it requires something, go.sum.
pub(crate) fn files(
    project: &Path,
    build: GoBuild<'_>,
) -> Result<BTreeMap<String, crate::ground::hash::Sha256Hex>> {
    let folder = project.join(RECIPES).join(&build.build.recipe);
    let mut files = BTreeMap::new();
    for name in FILES {
        let path = folder.join(name);
        if path.exists() {
            let hash = sha256_hex(fs::read(&path)?).parse().map_err(std::io::Error::other)?;
            files.insert(name.to_owned(), hash);
        } else if name == FILES[0] {
            return Err(GoError::NoFile { path, build: build.name.to_owned() }.into());
        }
    }
    Ok(files)
}
