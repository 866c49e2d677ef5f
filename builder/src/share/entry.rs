//! What of a plan may be shared: what the lock pins by its content.

use std::path::PathBuf;

use crate::fetch::Item;
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::hash::{Hash, Sha256Hex};
use crate::lockfile::format::{Build, Component, Module};
use crate::mirror::Mirrors;
use crate::plan::Plan;
use crate::stage::source;
use crate::store::{StepKey, Store};
use crate::{bundle, go};

/// What may be shared, and appears at once.
pub(super) struct Entry<'a> {
    /// Its name there.
    pub(super) name: String,
    /// Bytes, as far as the lock or the store knows.
    pub(super) bytes: u64,
    pub(super) kind: Kind<'a>,
}

pub(super) enum Kind<'a> {
    Download(Pinned),
    Build { name: &'a str, build: &'a Build, key: StepKey },
    Module { module: &'a Module, key: StepKey },
}

/// A file that the lock pins.
pub(super) struct Pinned {
    /// For people.
    pub(super) subject: String,
    /// Its name there.
    pub(super) name: String,
    /// Its hash; of a module's files the lock has one over all of them.
    pub(super) hash: Option<Hash>,
    pub(super) size: Option<u64>,
}

impl Entry<'_> {
    /// Its files, by their names there; none when the store does not have it.
    pub(super) fn files(&self, store: &Store, arch: Arch) -> Vec<(String, PathBuf)> {
        match &self.kind {
            Kind::Download(file) => {
                let path = file.hash.as_ref().map(|hash| store.file(hash)).filter(|path| path.exists());
                path.map(|path| (file.name.clone(), path)).into_iter().collect()
            }
            Kind::Build { build, key, .. } => {
                let Some(made) = store.made(key) else { return Vec::new() };
                let outputs = outputs(build, arch, key).into_iter();
                outputs.map(|(file, pinned)| (pinned.name, made.join(file))).collect()
            }
            Kind::Module { module, key } => {
                let Some(made) = store.made(key) else { return Vec::new() };
                let parts = parts(module, key).into_iter();
                parts.map(|(file, pinned)| (pinned.name, made.join(file))).collect()
            }
        }
    }
}

/// What the plan's builds read that the lock pins, and QEMU's packages.
pub(super) fn entries(plan: &Plan) -> Result<Vec<Entry<'_>>> {
    // Addresses do not matter.
    let mut entries: Vec<Entry<'_>> =
        bundle::items(plan, &Mirrors::default()).into_iter().map(download).collect();
    for component in plan.used_components().into_values() {
        let Component::Build { build: name } = component else { continue };
        let Some(build) = plan.lock.build.get(name) else { continue };
        let key = source::key(&plan.project, &plan.lock, (name, build), plan.arch)?;
        let kind = Kind::Build { name, build, key: key.clone() };
        entries.push(Entry { name: format!("steps/{}", key.folder()), bytes: 0, kind });
    }
    for module in go::of_builds(&plan.lock, &plan.go_builds()) {
        let key = go::key(module);
        let (name, bytes) = (format!("steps/{}", key.folder()), module.size.unwrap_or(0));
        entries.push(Entry { name, bytes, kind: Kind::Module { module, key } });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries.dedup_by(|a, b| a.name == b.name);
    Ok(entries)
}

fn download<'a>(item: Item) -> Entry<'a> {
    let name = format!("files/{}", item.hash.as_str());
    let file = Pinned { subject: item.subject, name: name.clone(), hash: Some(item.hash), size: item.size };
    Entry { name, bytes: item.size.unwrap_or(0), kind: Kind::Download(file) }
}

/// The files of a source build, by their names in its folder.
pub(super) fn outputs(build: &Build, arch: Arch, key: &StepKey) -> Vec<(String, Pinned)> {
    let outputs = build.output.get(&arch).into_iter().flatten();
    let pinned = |(file, sha256): (&String, &Sha256Hex)| {
        let name = format!("steps/{}/{file}", key.folder());
        let subject = format!("the compiled `{file}`");
        (file.clone(), Pinned { subject, name, hash: Some(sha256.clone().into()), size: None })
    };
    outputs.map(pinned).collect()
}

/// The files of a Go module, by their names in its folder.
pub(super) fn parts(module: &Module, key: &StepKey) -> Vec<(&'static str, Pinned)> {
    let pinned = |file: &'static str| {
        let name = format!("steps/{}/{file}", key.folder());
        (file, Pinned { subject: format!("the Go module {module}"), name, hash: None, size: None })
    };
    go::parts(module).map(pinned).collect()
}
