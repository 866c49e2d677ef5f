//! The files of a release's components, from source builds and from packages taken apart, under the names that
//! recipes use.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err as fs;

use super::{container, roots, source};
use crate::deb::{self, DebError};
use crate::error::Result;
use crate::lock::format::{Component, Deb, Release};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::role::Components;
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same package changes.
const VERSION: u32 = 1;

/// The root of the lock whose packages are taken apart.
const ROOT: &str = "components";

/// The name under which recipes install the release's container images.
pub const IMAGES: &str = "images";

/// Makes the files of the components that the plan's roles install.
///
/// # Errors
/// When a source build fails, or a package has not the files that the lock names.
pub fn gather(plan: &Plan, store: &Store, progress: &Progress) -> Result<Components> {
    let Plan { project, lock, release, arch, .. } = plan;
    let (arch, wanted) = (*arch, plan.components());
    let mut components = Components::new();
    for (name, component) in closure(release, &wanted) {
        let files = match component {
            Component::Build { build: build_name } => {
                // The lock was checked: its names lead somewhere.
                let Some(build) = lock.build.get(build_name) else { continue };
                let root = roots::unpack(store, lock, &build.root, arch, progress)?;
                let folder = source::build(project, store, lock, (build_name, build), &root, arch, progress)?;
                let outputs = build.output.get(&arch).into_iter().flat_map(BTreeMap::keys);
                outputs.map(|file| (file.clone(), folder.join(file))).collect()
            }
            Component::Deb { deb, files, folder } => {
                let Some(package) = lock.packages(ROOT, arch).find(|package| package.name == *deb) else {
                    continue;
                };
                from_deb(store, package, files, folder.as_deref())?
            }
        };
        components.insert(name.clone(), files);
    }
    if wanted.contains(IMAGES) {
        let mut files = BTreeMap::new();
        for (name, image) in &release.image {
            files.insert(
                format!("{name}.tar"),
                container::archive(store, image, &components, arch, lock.epoch)?,
            );
        }
        components.insert(IMAGES.to_owned(), files);
    }
    Ok(components)
}

/// The wanted components, and those that the container images are made of when they are wanted.
pub fn closure<'a>(release: &'a Release, wanted: &BTreeSet<String>) -> BTreeMap<&'a String, &'a Component> {
    let mut names = wanted.clone();
    if wanted.contains(IMAGES) {
        names.extend(
            release.image.values().filter_map(|image| Some(image.program.split_once(':')?.0.to_owned())),
        );
    }
    release.component.iter().filter(|(name, _)| names.contains(*name)).collect()
}

fn from_deb(
    store: &Store,
    package: &Deb,
    files: &BTreeMap<String, String>,
    folder: Option<&str>,
) -> Result<BTreeMap<String, PathBuf>> {
    let key = StepKey::new("component", VERSION, &(&package.sha256, files, folder));
    let path = store.step(&key, |out| {
        let archive = store.file(&package.sha256);
        let in_folder = |path: &str| {
            let inner =
                folder.and_then(|folder| path.strip_prefix(folder.trim_matches('/'))?.strip_prefix('/'));
            inner.filter(|name| !name.contains('/')).map(str::to_owned)
        };
        let chosen =
            |path: &str| files.iter().find(|(_, wanted)| *wanted == path).map(|(name, _)| name.clone());
        let name_of = |path: &str| chosen(path).or_else(|| in_folder(path));
        let mut seen = BTreeSet::new();
        for file in deb::read_files(&archive, |path| name_of(path).is_some())? {
            let Some(name) = name_of(&file.path) else { continue };
            let target = out.join(&name);
            fs::write(&target, file.content)?;
            fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755))?;
            seen.insert(file.path);
        }
        match files.values().find(|wanted| !seen.contains(*wanted)) {
            Some(file) => Err(DebError::NoFile { package: archive, file: file.clone() }.into()),
            None => Ok(()),
        }
    })?;
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        found.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    Ok(found)
}
