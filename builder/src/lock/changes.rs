//! What differs between two locks, a line for each difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::ground::arch::Arch;
use crate::ground::repro::sha256_hex;
use crate::lock::upstream::published;
use crate::lockfile::Lock;
use crate::lockfile::format::{Component, ModuleSum, Release};

/// The differences, sorted. Empty when a lock is as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Everything that the lock pins, by what it is: before and after.
    changed: BTreeMap<String, (Option<String>, Option<String>)>,
}

impl Changes {
    /// What changed from one lock to another.
    #[must_use]
    pub fn between(old: &Lock, new: &Lock) -> Self {
        let (mut before, mut after) = (facts(old), facts(new));
        let keys: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
        let pairs = keys.into_iter().map(|key| {
            let pair = (before.remove(&key), after.remove(&key));
            (key, pair)
        });
        Self { changed: pairs.filter(|(_, (before, after))| before != after).collect() }
    }

    /// Each difference: what it is, before and after.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>, Option<&str>)> {
        self.changed
            .iter()
            .map(|(what, (before, after))| (what.as_str(), before.as_deref(), after.as_deref()))
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }
}

impl fmt::Display for Changes {
    /// `+ what value`, `- what value` and `~ what old → new`, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, pair) in &self.changed {
            match pair {
                (Some(before), Some(after)) => writeln!(f, "~ {key}: {before} → {after}")?,
                (None, Some(after)) => writeln!(f, "+ {key}: {after}")?,
                (Some(before), None) => writeln!(f, "- {key}: {before}")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

/// Everything that the lock pins, as one line for people each.
fn facts(lock: &Lock) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from([("epoch".to_owned(), lock.epoch.to_string())]);
    for (arch, hash) in &lock.firstboot {
        facts.insert(format!("firstboot {arch}"), short(hash.as_str()).to_owned());
    }
    for (name, suite) in &lock.suite {
        facts.insert(format!("suite {name}"), suite.snapshot.clone());
    }
    for (name, root) in &lock.root {
        facts.insert(format!("root {name}"), root.request.join(" "));
    }
    for (name, source) in &lock.source {
        let files: Vec<&str> = source.files.iter().map(|file| short(file.sha256.as_str())).collect();
        facts.insert(format!("source {name}"), format!("{} ({})", source.version, files.join(", ")));
    }
    for (name, build) in &lock.build {
        let version = build.go().map(|go| format!("{} ", go.version)).filter(|version| version.len() > 1);
        facts.insert(format!("build {name}"), version.unwrap_or_default() + &digest(build));
    }
    for module in &lock.go.modules {
        let builds: Vec<&str> = module.builds.iter().map(String::as_str).collect();
        let sums: Vec<&str> =
            [&module.sum, &module.go_mod].into_iter().flatten().map(ModuleSum::as_str).collect();
        let file = if module.sum.is_some() { "" } else { "/go.mod" };
        facts
            .insert(format!("module {module}{file}"), format!("{} in {}", sums.join(" "), builds.join(", ")));
    }
    for (name, release) in &lock.release {
        let Release { kubernetes, containerd, end_of_life, .. } = release;
        let fact = format!("Kubernetes {kubernetes}, containerd {containerd}, supported until {end_of_life}");
        facts.insert(format!("release {name}"), fact);
        for (component, from) in &release.component {
            let fact = format!("{} ({})", origin(from), digest(from));
            facts.insert(format!("component {name} {component}"), fact);
        }
        for (image, made) in &release.image {
            facts.insert(format!("image {name} {image}"), format!("{} ({})", made.reference, digest(made)));
        }
    }
    let mut packages: BTreeMap<(&str, Arch, &str), Vec<String>> = BTreeMap::new();
    for (suite, debs) in &lock.deb {
        for deb in debs {
            let roots: Vec<&str> = deb.roots.iter().map(String::as_str).collect();
            let (hash, roots) = (short(deb.sha256.as_str()), roots.join(", "));
            let fact = format!("{} ({hash}, {} bytes) in {roots}", deb.version, deb.size);
            packages.entry((suite, deb.arch, &deb.name)).or_default().push(fact);
        }
    }
    for ((suite, arch, name), versions) in packages {
        facts.insert(format!("deb {suite} {name} {arch}"), versions.join("; "));
    }
    facts
}

/// Where a component's files come from, with the version when the address tells it.
fn origin(component: &Component) -> String {
    match component {
        Component::Build { build } => format!("build {build}"),
        Component::Deb { deb, .. } => format!("package {deb}"),
        Component::Path { path, .. } => format!("files in {path}"),
        Component::Url(downloads) => {
            let urls: Vec<&String> = downloads.iter().filter_map(|download| download.urls.first()).collect();
            match urls.first().and_then(|url| published(url)) {
                Some((_, version)) => version,
                None => urls.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            }
        }
    }
}

/// Everything in the lock has a JSON form.
fn digest(part: &impl Serialize) -> String {
    short(&sha256_hex(serde_json::to_string(part).unwrap_or_default())).to_owned()
}

/// Enough of a hash to see that it differs.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
