//! Brings the modules of builds into the store: the go command downloads what the store lacks, and each module is
//! compared with the lock before it enters.
//!
//! What was downloaded stays in the store's scratch folder until everything is there, so a fetch that was cut goes on.

use std::path::{Path, PathBuf};

use crate::deb::roots;
use crate::go::command::{Command, list};
use crate::go::module::{AT_ONCE, GoBuild, is_toolchain, key, modules, of_builds};
use crate::go::verify::{compare, failed};
use crate::go::{GoError, cache, lay_out, toolchain};
use crate::ground::arch::{ARCHITECTURES, Arch};
use crate::ground::error::Result;
use crate::ground::parallel;
use crate::ground::progress::{Progress, Task};
use crate::lockfile::Lock;
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::Module;
use crate::store::Store;

/// The modules that some builds read and the store lacks.
#[must_use]
pub fn missing<'a>(store: &Store, lock: &'a Lock, builds: &[GoBuild<'_>]) -> Vec<&'a Module> {
    of_builds(lock, builds).filter(|module| store.made(&key(module)).is_none()).collect()
}

/// Brings every module that some builds read into the store; those that are there cost a look. The packages of the builds'
/// roots are in the store already.
///
/// # Errors
/// [`GoError`]; what came and is right stays for the next time.
pub fn fetch(
    project: &Path,
    store: &Store,
    lock: &Lock,
    builds: &[GoBuild<'_>],
    offline: bool,
    progress: &Progress,
) -> Result<()> {
    for build in builds {
        super::check_recipe(project, *build)?;
    }
    let lacking = missing(store, lock, builds);
    let Some(first) = lacking.first() else { return Ok(()) };
    if offline || crate::ground::offline::is_forbidden() {
        return Err(GoError::Offline { module: first.to_string(), missing: lacking.len() }.into());
    }
    let bytes = lacking.iter().filter_map(|module| module.size).sum();
    // A module is unpacked to be looked at, and its zip is there twice for a moment.
    store.need(bytes * 6, "the Go modules").check()?;
    // One go command at a time: they share the scratch folder.
    let _alone = store.lock("go-fetch")?;
    let scratch = store.scratch("go-fetch");
    let label = format!("fetching {} Go modules, {} MB", lacking.len(), bytes / 1_000_000);
    let task = progress.bytes(&label, bytes);
    for build in builds {
        of_build(project, store, lock, *build, (&scratch, &task), progress)?;
    }
    crate::store::remove_tree(&scratch)?;
    task.finish();
    Ok(())
}

fn of_build(
    project: &Path,
    store: &Store,
    lock: &Lock,
    build: GoBuild<'_>,
    (scratch, task): (&Path, &Task<'_>),
    progress: &Progress,
) -> Result<()> {
    let lacking = missing(store, lock, &[build]);
    if lacking.is_empty() {
        return Ok(());
    }
    let root = roots::unpack(store, lock, &build.build.root, Arch::HOST, progress)?.path;
    let first = lacking.first().map(ToString::to_string).unwrap_or_default();
    let fetcher = Fetcher { store, build, cache: scratch.join("cache"), task, first };
    if let Some(go) = lacking.iter().copied().find(|module| is_toolchain(module)) {
        let command = Command::new(&root, None, scratch)?;
        let module = go.to_string();
        fetcher.run(&command, &["mod", "download", &module], &[go])?;
    }
    let lacking = missing(store, lock, &[build]);
    if lacking.is_empty() {
        return Ok(());
    }
    let toolchain = toolchain::unpack(store, lock, build.go, progress)?;
    lay_out(store, modules(lock, build.name), &fetcher.cache)?;
    let recipe = project.join(RECIPES).join(&build.build.recipe);
    let command = Command::new(&root, Some(&toolchain), scratch)?;
    let lists = list(build.go);
    let calls: Vec<_> =
        lists.iter().flat_map(|args| ARCHITECTURES.into_iter().map(move |arch| (arch, args))).collect();
    for (index, (arch, args)) in calls.iter().enumerate() {
        let wanted = if index + 1 == calls.len() { lacking.as_slice() } else { &[] };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        fetcher.run(&command.of_recipe(&recipe, build.go, *arch), &args, wanted).inspect_err(|_| {
            // What came and is right need not come again.
            let _ = fetcher.admit(lacking.iter().copied().filter(|module| fetcher.has(module)));
        })?;
    }
    Ok(())
}

/// What fetches the modules of one build.
struct Fetcher<'a> {
    store: &'a Store,
    build: GoBuild<'a>,
    cache: PathBuf,
    task: &'a Task<'a>,
    /// The first module that is missing.
    first: String,
}

impl Fetcher<'_> {
    /// Runs a go command that downloads, and admits the modules that it should have brought.
    fn run(&self, command: &Command, args: &[&str], wanted: &[&Module]) -> Result<()> {
        let mut seen = 0;
        let run = command.run(args, || {
            let bytes = downloaded(&self.cache);
            self.task.advance(bytes.saturating_sub(seen));
            seen = seen.max(bytes);
        });
        run.map_err(|error| failed(self.build, Some(&self.first), error))?;
        if let Some(module) = wanted.iter().find(|module| !self.has(module)) {
            let (build, module) = (self.build.name.to_owned(), module.to_string());
            return Err(GoError::Unread { build, module }.into());
        }
        self.admit(wanted.iter().copied())
    }

    /// Whether the cache has a module.
    fn has(&self, module: &Module) -> bool {
        cache::files(module).all(|(_, suffix)| cache::place(&self.cache, module, suffix).exists())
    }

    /// Compares modules with the lock and moves them into the store.
    fn admit<'m>(&self, wanted: impl Iterator<Item = &'m Module>) -> Result<()> {
        let wanted: Vec<&Module> = wanted.filter(|module| self.store.made(&key(module)).is_none()).collect();
        let compared = parallel::map(&wanted, |module| {
            let file = |suffix: &str| cache::place(&self.cache, module, suffix);
            compare(module, &file("mod"), &file("zip"))
        });
        compared.into_iter().collect::<Result<Vec<()>>>()?;
        for some in wanted.chunks(AT_ONCE) {
            let step = |module: &&Module| (key(module), cache::keep(&self.cache, module));
            self.store.steps(some.iter().map(step).collect())?;
        }
        Ok(())
    }
}

/// The bytes of all zips that a cache has, whole or in part.
fn downloaded(cache: &Path) -> u64 {
    let files = walkdir::WalkDir::new(cache.join(cache::DOWNLOADS)).into_iter().flatten();
    let zips = files.filter(|entry| {
        let name = entry.file_name().to_string_lossy();
        name.ends_with(".zip") || name.ends_with(".tmp")
    });
    zips.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
