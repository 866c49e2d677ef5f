//! The files of a release's components under the names that recipes use: from source builds, from packages and
//! archives taken apart, and as they were fetched.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::archive::{ArchiveError, listing, read_tar_gz};
use crate::deb::{self, DebError, roots};
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::lockfile::format::{Chosen, Component, Deb, Download};
use crate::plan::Plan;
use crate::role::{ComponentFile, Components, IMAGES};
use crate::stage::fetched::Fetched;
use crate::stage::{container, source};
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same package changes.
const VERSION: u32 = 2;

/// The root of the lock whose packages are taken apart.
const ROOT: &str = "components";

/// Makes the files of the components that the plan's roles install.
///
/// # Errors
/// When a source build fails, or a package has not the files that the lock names.
pub fn gather(Fetched { plan, store, progress }: Fetched<'_>) -> Result<Components> {
    let Plan { project, lock, arch, .. } = plan;
    let arch = *arch;
    let mut components = Components::new();
    for (name, component) in plan.used_components() {
        let files = match component {
            Component::Build { build: build_name } => {
                // The lock was checked: its names lead somewhere.
                let Some(build) = lock.build.get(build_name) else { continue };
                let folder = source::build(project, store, lock, (build_name, build), arch, progress)?;
                source::files(build, arch, &folder)
            }
            Component::Deb { deb, chosen } => {
                let Some(package) = lock.packages(ROOT, arch).find(|package| package.name == *deb) else {
                    continue;
                };
                whole(from_deb(store, package, &chosen.for_arch(arch))?)
            }
            Component::Url(downloads) => whole(from_urls(store, downloads, arch)?),
            Component::Path { sha256, .. } => {
                let files = sha256.get(&arch).into_iter().flatten();
                whole(files.map(|(name, hash)| (name.clone(), store.file(hash))).collect())
            }
        };
        components.insert(name.clone(), files);
    }
    source::go::clean(store)?;
    if plan.components().contains(IMAGES) {
        let mut files = BTreeMap::new();
        for (name, image) in plan.container_images() {
            let root =
                image.root().map(|root| roots::unpack(store, lock, root, arch, progress)).transpose()?;
            let archive = container::archive(store, image, root.as_ref(), &components, arch, lock.epoch)?;
            files.insert(format!("{name}.tar"), archive);
        }
        components.insert(IMAGES.to_owned(), whole(files));
    }
    Ok(components)
}

/// Files of a name each.
fn whole(files: BTreeMap<String, PathBuf>) -> BTreeMap<String, ComponentFile> {
    files.into_iter().map(|(name, path)| (name, path.into())).collect()
}

fn from_deb(store: &Store, package: &Deb, chosen: &Chosen) -> Result<BTreeMap<String, PathBuf>> {
    let key = StepKey::new("component", VERSION, &(&package.sha256, &chosen.files, &chosen.folder));
    let path = store.step(&key, |out| {
        let archive = store.file(&package.sha256);
        let members = deb::read_files(&archive, |path| chosen.name_of(path).is_some())?;
        match chosen.write(members, out)?.map(str::to_owned) {
            Some(file) => Err(DebError::NoFile { package: archive, file }.into()),
            None => Ok(()),
        }
    })?;
    Ok(listing(&path)?)
}

/// The files of everything that is downloaded for an architecture.
fn from_urls(store: &Store, downloads: &[Download], arch: Arch) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for download in downloads {
        let Some(hash) = download.hash(arch) else { continue };
        if let Some(name) = &download.file {
            found.insert(name.clone(), store.file(&hash));
            continue;
        }
        let chosen = download.chosen(arch);
        let key = StepKey::new("unpacked", VERSION, &(&hash, &chosen.files, &chosen.folder));
        let path = store.step(&key, |out| {
            let subject = || download.addresses(arch).swap_remove(0);
            let read = read_tar_gz(&store.file(&hash), |path| chosen.name_of(path).is_some());
            let members = read
                .map_err(|error| ArchiveError::Broken { subject: subject(), message: error.to_string() })?;
            match chosen.write(members, out)?.map(str::to_owned) {
                Some(file) => Err(ArchiveError::NoFile { subject: subject(), file }.into()),
                None => Ok(()),
            }
        })?;
        found.append(&mut listing(&path)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
