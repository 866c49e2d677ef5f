//! `builder lock update`: the only code that resolves versions. Everything else reads the lock and verifies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use fs_err as fs;
use time::{Duration, OffsetDateTime};

use crate::embedded;
use crate::go::resolve::Resolver;
use crate::go::{self, GoBuild};
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lock::apt::Work;
use crate::lock::changes::Changes;
use crate::lock::chosen::Chosen;
use crate::lock::edit;
use crate::lockfile::format::{BuildFrom, Closure, Component, Deb, Module, Root};
use crate::lockfile::{COMPONENTS, Lock, LockError};
use crate::mirror::Mirrors;
use crate::plan::inputs::root_items;
use crate::role::Recipes;
use crate::role::packages::{self, BASE};
use crate::store::Store;

/// Resolves every root and source of the lockfile anew, or those that `names` stand for, and writes it, unless nothing
/// changed. `tools` is the unpacked tool root of the lock as it was; without one the host's apt is used.
///
/// # Errors
/// When a name is of nothing that can be resolved, the lockfile or the base recipe cannot be read, an index is not what the archive signed, or a request has
/// no answer. The lockfile is then as it was.
pub fn update(
    (project, recipes): (&Path, &Recipes),
    lockfile: &Path,
    names: &[String],
    mirrors: &Mirrors,
    tools: Option<&Path>,
    (store, progress): (&Store, &Progress),
) -> Result<Changes> {
    let text = Lock::read(lockfile)?;
    let (old, mut lock) = anew(recipes, lockfile, (&text, names), mirrors, tools)?;
    let chosen = Chosen::new(&old, names)?;
    go_modules(project, &mut lock, chosen.builds.as_ref(), mirrors, (store, progress))?;
    lock.check(lockfile)?;
    let written = edit::write(&text, &lock).map_err(|error| {
        crate::ground::input::wrong(lockfile, &text, error.span(), error.message().to_owned(), None)
    })?;
    if written != text {
        replace(lockfile, &text, &written)?;
    }
    go::resolve::finish(store)?;
    Ok(Changes::between(&old, &lock))
}

/// What an update would change. It writes nothing.
///
/// # Errors
/// As [`update`].
pub fn changes(
    recipes: &Recipes,
    lockfile: &Path,
    mirrors: &Mirrors,
    tools: Option<&Path>,
) -> Result<Changes> {
    let (old, new) = anew(recipes, lockfile, (&Lock::read(lockfile)?, &[]), mirrors, tools)?;
    new.check(lockfile)?;
    Ok(Changes::between(&old, &new))
}

/// The lock as it is by its text, and as it is when what the names stand for is resolved anew.
fn anew(
    recipes: &Recipes,
    lockfile: &Path,
    (text, names): (&str, &[String]),
    mirrors: &Mirrors,
    tools: Option<&Path>,
) -> Result<(Lock, Lock)> {
    let old = Lock::draft(lockfile, text)?;
    let mut lock = old.clone();
    let chosen = Chosen::new(&lock, names)?;
    derive(recipes, &mut lock, &chosen)?;
    if !chosen.suites.is_empty() {
        resolve(&mut lock, &chosen.suites, mirrors, tools)?;
    }
    Ok((old, lock))
}

/// Sets what is chosen of that which follows from the project and this builder: the roots of recipes from these, the
/// components' from the releases, the firstboot binary's hash from the one that this builder carries.
///
/// # Errors
/// When a recipe is wrong.
pub(super) fn derive(recipes: &Recipes, lock: &mut Lock, chosen: &Chosen) -> Result<()> {
    derive_bases(lock, chosen, packages::requests(recipes)?);
    let components = lock.release.values().flat_map(|release| release.component.values());
    let components: BTreeSet<String> = components
        .filter_map(|component| match component {
            Component::Deb { deb, .. } => Some(deb.clone()),
            _ => None,
        })
        .collect();
    if let Some(root) = lock.root.get_mut(COMPONENTS).filter(|root| chosen.suites.contains(&root.suite)) {
        root.request = components.into_iter().collect();
    }
    if !chosen.firstboot {
        return Ok(());
    }
    // Those that the lock has packages for, and those that it has a hash for already.
    let known: BTreeSet<Arch> = lock.firstboot.keys().copied().chain(lock.architectures()).collect();
    for arch in known {
        let hash = embedded::sha256(arch).parse().map_err(std::io::Error::other)?;
        lock.firstboot.insert(arch, hash);
    }
    Ok(())
}

/// Sets the roots with the packages of recipes: that of `base`, and beside it, for the same suite and architectures, one for
/// each other recipe that asks for any.
fn derive_bases(lock: &mut Lock, chosen: &Chosen, requests: BTreeMap<String, BTreeSet<String>>) {
    let Some(base) = lock.root.get(BASE).filter(|root| chosen.suites.contains(&root.suite)).cloned() else {
        return;
    };
    lock.root.retain(|name, _| !packages::is_of_recipe(name) || requests.contains_key(name));
    for (name, request) in requests {
        // What the base has is there already: the dependencies are enough.
        let closure = if name == BASE { base.closure } else { Closure::Depends };
        lock.root.insert(name, Root { request: request.into_iter().collect(), closure, ..base.clone() });
    }
}

/// Fills in what follows from the recipes of Go modules: of the builds that were chosen by name, else of those whose
/// recipe is another one than the lock's. What such a build makes nobody knows any more.
fn go_modules(
    project: &Path,
    lock: &mut Lock,
    chosen: Option<&BTreeSet<String>>,
    mirrors: &Mirrors,
    (store, progress): (&Store, &Progress),
) -> Result<()> {
    let known: BTreeSet<String> = lock.build.keys().cloned().collect();
    lock.go.modules.iter_mut().for_each(|module| module.builds.retain(|build| known.contains(build)));
    for name in known {
        let Some((build, go)) =
            lock.build.get(&name).and_then(|build| Some((build.clone(), build.go()?.clone())))
        else {
            continue;
        };
        let build_of = GoBuild { name: &name, build: &build, go: &go };
        let resolver = Resolver { project, store, lock, progress };
        match chosen {
            // What has no modules yet is of no use to anybody.
            Some(chosen) if !chosen.contains(&name) && !go.files.is_empty() => continue,
            None if resolver.is_current(build_of)? => continue,
            _ => {}
        }
        let items = root_items(lock, mirrors, Arch::HOST, &build.root);
        crate::fetch::fetch(store, items, false, progress)?;
        let resolved = resolver.resolve(build_of)?;
        let before: Vec<Module> = lock.modules(&name).cloned().collect();
        lock.go.modules.iter_mut().for_each(|module| module.builds.retain(|build| *build != name));
        for module in resolved.modules {
            match lock.go.modules.iter_mut().find(|known| known.is_same(&module)) {
                Some(known) => known.builds.extend(module.builds),
                None => lock.go.modules.push(module),
            }
        }
        let same = |known: &Module| before.iter().any(|old| old.is_same(known));
        let unchanged = resolved.go == go && lock.modules(&name).all(same);
        if let Some(entry) = lock.build.get_mut(&name) {
            entry.from = BuildFrom::Go(Box::new(resolved.go));
            if !unchanged {
                entry.output.clear();
            }
        }
    }
    lock.go.modules.retain(|module| !module.builds.is_empty());
    lock.go.modules.sort();
    Ok(())
}

/// Fills in everything that the archive decides in some suites. The epoch is the newest date of all.
fn resolve(
    lock: &mut Lock,
    suites: &BTreeSet<String>,
    mirrors: &Mirrors,
    tools: Option<&Path>,
) -> Result<()> {
    let work = Work::new(tools)?;
    if lock.suite.keys().all(|name| suites.contains(name)) {
        lock.epoch = 0;
    }
    for (name, suite) in lock.suite.iter_mut().filter(|(name, _)| suites.contains(*name)) {
        lock.deb.remove(name);
        let mut debs: BTreeMap<(Arch, String), Deb> = BTreeMap::new();
        let mut sources: Vec<_> =
            lock.source.iter_mut().filter(|(_, source)| source.suite == *name).collect();
        let roots = || lock.root.iter().filter(|(_, root)| root.suite == *name);
        let mut architectures: BTreeSet<Arch> =
            roots().flat_map(|(_, root)| &root.architectures).copied().collect();
        if architectures.is_empty() {
            // A suite of sources alone: their index is the same for every architecture.
            architectures.insert(Arch::HOST);
        }
        for arch in architectures {
            let opened = work.open(name, suite, arch, !sources.is_empty(), mirrors)?;
            suite.snapshot = snapshot(opened.date);
            lock.epoch = lock.epoch.max(opened.date.unix_timestamp());
            for (root_name, root) in roots().filter(|(_, root)| root.architectures.contains(&arch)) {
                for found in opened.packages(root_name, &root.request_for(arch), root.closure)? {
                    let entry = debs.entry((arch, found.name.clone())).or_insert_with(|| Deb {
                        name: found.name,
                        version: found.version,
                        arch,
                        roots: BTreeSet::new(),
                        file: found.file,
                        size: found.size,
                        sha256: found.sha256,
                    });
                    entry.roots.insert(root_name.clone());
                }
            }
            // The same for every architecture.
            for (source_name, source) in sources.drain(..) {
                *source = opened.source(source_name)?;
            }
        }
        if !debs.is_empty() {
            lock.deb.insert(name.clone(), debs.into_values().collect());
        }
    }
    Ok(())
}

/// The time at which a snapshot mirror has a suite. A mirror takes a release in hours after the date that it bears,
/// and asked for a time between two of its states it gives the one before: a day later is safe, and a stable suite's
/// files stay for months.
fn snapshot(date: OffsetDateTime) -> String {
    let date = date.saturating_add(Duration::DAY);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour(),
        date.minute(),
        date.second()
    )
}

/// Puts a text in a lockfile's place in one step. What somebody wrote since it was `read` is not lost: it stays, and the
/// text is refused.
///
/// # Errors
/// [`LockError::Changed`], or when it cannot be written.
pub(crate) fn replace(path: &Path, read: &str, text: &str) -> Result<()> {
    if Lock::read(path)? != read {
        return Err(LockError::Changed { path: path.to_owned() }.into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use fs_err as fs;
    use time::OffsetDateTime;

    use super::{replace, snapshot};

    #[test]
    fn a_lockfile_that_was_edited_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockfile.toml");
        fs::write(&path, "edited").unwrap();
        let said = replace(&path, "read", "written").unwrap_err().to_string();
        assert!(said.contains("was changed meanwhile") && said.contains("hint: "), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "edited");
        replace(&path, "edited", "written").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "written");
    }

    #[test]
    fn a_snapshot_is_a_day_after_the_release() {
        let date = OffsetDateTime::from_unix_timestamp(1_789_199_741).unwrap();
        assert_eq!(snapshot(date), "20260913T075541Z");
    }
}
