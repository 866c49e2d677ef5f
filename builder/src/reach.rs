//! What of a store a project still reaches: the files that its lock names, and the steps of every build that its
//! profiles, releases and architectures allow.
//!
//! The keys of the early steps follow from the lock. Those of the late ones depend on the components' files; they stay
//! unknown where one of these was not made yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::deb::roots;
use crate::ground::arch::{ARCHITECTURES, Arch};
use crate::ground::error::Result;
use crate::ground::hash::Sha256Hex;
use crate::ground::progress::Progress;
use crate::lockfile::format::{Component, Content};
use crate::lockfile::{Lock, path as lockfile};
use crate::mirror::Mirrors;
use crate::oci::{self, Contents, Wanted};
use crate::plan::{Plan, Request};
use crate::stage::fetched::Fetched;
use crate::stage::{base, component, disk, source, stock, tree};
use crate::store::gc::Reach;
use crate::store::{StepKey, Store};
use crate::{go, profile, sbom};

/// What a project reaches in a store.
///
/// # Errors
/// When the lock, a recipe or a profile is wrong, or this builder is not the lock's: then nobody knows what is reached.
pub fn of(project: &Path, images: Option<&Path>, store: &Store, progress: &Progress) -> Result<Reach> {
    let store = store.asking();
    let lock = Lock::load(&lockfile(project))?;
    let mut steps = BTreeSet::new();
    for arch in ARCHITECTURES {
        steps.extend(lock.root.keys().map(|name| roots::key(&lock, name, arch).folder()));
        let base = base::Packages::base(&lock, arch).key(project, &roots::tools_key(&lock, arch))?;
        steps.insert(base.folder());
        for (name, build) in &lock.build {
            steps.insert(source::key(project, &lock, (name, build), arch)?.folder());
        }
    }
    steps.extend(lock.go.modules.iter().map(|module| go::key(module).folder()));
    let builds = lock.build.values().filter_map(|build| build.go());
    steps.extend(builds.filter_map(|how| Some(go::toolchain_key(&lock, how)?.folder())));
    for profile in profile::names(&project.join(profile::PROFILES)) {
        for plan in plans(project, images, &lock, &profile)? {
            steps.extend(late(&plan, &store, progress)?.iter().map(StepKey::folder));
        }
    }
    steps.append(&mut store.asked());
    let mut files = files(&lock);
    files.append(&mut of_images(&lock, &store));
    Ok(Reach { files, steps })
}

/// The plans of a profile. As it stands it must be right; with another release or architecture it may be impossible.
fn plans(project: &Path, images: Option<&Path>, lock: &Lock, profile: &str) -> Result<Vec<Plan>> {
    let mut request = Request {
        project: project.to_owned(),
        profile: profile.to_owned(),
        release: None,
        arch: Arch::HOST,
        lockfile: lockfile(project),
        images: images.map(Path::to_owned),
    };
    Plan::resolve(&request)?;
    let mut plans = Vec::new();
    for release in lock.release.keys() {
        for arch in ARCHITECTURES {
            (request.release, request.arch) = (Some(release.clone()), arch);
            plans.extend(Plan::resolve(&request).ok());
        }
    }
    Ok(plans)
}

/// The late steps of a plan; `store` remembers those of components.
fn late(plan: &Plan, store: &Store, progress: &Progress) -> Result<Vec<StepKey>> {
    let (tools, bases) = bases(plan)?;
    let mut keys = bases.clone();
    keys.extend(bases.iter().map(sbom::licences_key));
    for (stock, disk) in disks(plan, (&tools, &bases), store, progress)? {
        keys.extend([disk::content_key(&disk), disk, stock]);
    }
    Ok(keys)
}

/// The keys of a plan's tools and of the base of each of its roles.
fn bases(plan: &Plan) -> Result<(StepKey, Vec<StepKey>)> {
    let tools = roots::tools_key(&plan.lock, plan.arch);
    let key = |role| base::Packages::of(plan, role).key(&plan.project, &tools);
    let bases = plan.roles.iter().map(key).collect::<Result<Vec<_>>>()?;
    Ok((tools, bases))
}

/// The keys of the stock disk and of the disk of each of a plan's roles; none where some component was not made yet.
fn disks(
    plan: &Plan,
    (tools, bases): (&StepKey, &[StepKey]),
    store: &Store,
    progress: &Progress,
) -> Result<Vec<(StepKey, StepKey)>> {
    // Something was not made yet, so what would be made of it was not either.
    let Ok(components) = component::gather(Fetched::asking(plan, store, progress)) else {
        return Ok(Vec::new());
    };
    let keys = tree::trees(plan, &components)?.into_iter().zip(bases).map(|(tree, base)| {
        let stock = stock::key(tools, base, &tree, (plan.arch, plan.lock.epoch))?;
        let disk = disk::key(&stock, &tree)?;
        Ok((stock, disk))
    });
    keys.collect()
}

/// The content hashes of a plan's images by role, as far as the store has them: nothing is made.
///
/// # Errors
/// When a recipe names something that is not there, or this builder's firstboot is not the lock's.
pub fn content(plan: &Plan, store: &Store, progress: &Progress) -> Result<BTreeMap<String, Sha256Hex>> {
    let store = store.asking();
    let (tools, bases) = bases(plan)?;
    let mut known = BTreeMap::new();
    for (role, (_, disk)) in plan.roles.iter().zip(disks(plan, (&tools, &bases), &store, progress)?) {
        if let Some(sha256) = disk::known_content(&store, &disk)? {
            known.insert(role.name.clone(), sha256);
        }
    }
    Ok(known)
}

/// The hashes of every file that the lock names, for every architecture.
fn files(lock: &Lock) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    files.extend(lock.deb.values().flatten().map(|deb| deb.sha256.to_string()));
    files.extend(lock.source.values().flat_map(|source| &source.files).map(|file| file.sha256.to_string()));
    for component in lock.release.values().flat_map(|release| release.component.values()) {
        match component {
            Component::Url(downloads) => {
                let hashes = |arch| downloads.iter().filter_map(move |download| download.hash(arch));
                let hashes = ARCHITECTURES.into_iter().flat_map(hashes);
                files.extend(hashes.map(|hash| hash.as_str().to_owned()));
            }
            Component::Path { sha256, .. } => {
                files.extend(sha256.values().flat_map(BTreeMap::values).map(ToString::to_string));
            }
            Component::Build { .. } | Component::Deb { .. } => {}
        }
    }
    files
}

/// The hashes of what the store has of the container images of registries that the lock names.
fn of_images(lock: &Lock, store: &Store) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for image in lock.release.values().flat_map(|release| release.image.values()) {
        let Content::Registry(digests) = &image.content else { continue };
        for (arch, digest) in digests {
            let Ok(wanted) = Wanted::new(&image.reference, digest.clone(), *arch, &Mirrors::default()) else {
                continue;
            };
            files.insert(digest.sha256().to_string());
            // Of one that is there in part, the rest is fetched again.
            let contents = oci::stored(store, &wanted);
            files.extend(
                contents.iter().flat_map(Contents::parts).map(|part| part.digest.sha256().to_string()),
            );
        }
    }
    files
}
