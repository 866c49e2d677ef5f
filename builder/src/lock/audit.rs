//! `builder lock audit`: what of a lock is past its end of life, or has a vulnerability that a feed knows. Nothing is
//! asked over the network.
//!
//! It owns under which names feeds know the lock's inputs: Debian's source packages, and Go modules for what upstream
//! publishes. What is built by hand (`path`) nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::lock::osv::{Entry, Fix, Version, semantic};
use crate::lock::upstream::published;
use crate::lockfile::Lock;
use crate::lockfile::format::{BuildFrom, Component};
use crate::lockfile::go::TOOLCHAIN;

/// Debian's releases as OSV names them; a suite that is not here is in no feed.
const DEBIAN: [(&str, &str); 4] =
    [("bullseye", "Debian:11"), ("bookworm", "Debian:12"), ("trixie", "Debian:13"), ("forky", "Debian:14")];

/// What the version of the module that is Go itself begins with; feeds know its parts that programs hold as `stdlib`.
const GO_ITSELF: &str = "v0.0.1-go";

/// Something that a person should know about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// `end-of-life`, or the vulnerability's name.
    pub what: String,
    /// A release, or a package with its version.
    pub subject: String,
    /// The fact in words.
    pub message: String,
    /// Where the lock uses it.
    pub used_by: Vec<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// Sorted.
    pub findings: Vec<Finding>,
    /// How many packages and programs were compared with the feed.
    pub compared: usize,
    /// Components that no feed can know.
    pub unknown: Vec<String>,
}

/// An input under the name that feeds know.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pin {
    ecosystem: String,
    name: String,
    version: String,
}

/// Looks through a lock, or one release of it, on a day, written `2026-11-21`.
#[must_use]
pub fn audit(lock: &Lock, release: Option<&str>, feed: &[Entry], today: &str) -> Audit {
    let wanted = |name: &str| release.is_none_or(|release| release == name);
    let past =
        lock.release.iter().filter(|(name, release)| wanted(name) && today > release.end_of_life.as_str());
    let mut findings: Vec<Finding> = past
        .map(|(name, release)| Finding {
            what: "end-of-life".to_owned(),
            subject: format!("release {name}"),
            message: format!(
                "Kubernetes {} is unsupported since {}",
                release.kubernetes, release.end_of_life
            ),
            used_by: Vec::new(),
        })
        .collect();
    let (pins, unknown) = pins(lock, wanted);
    for (pin, used_by) in &pins {
        let version = match pin.ecosystem.as_str() {
            "Go" => semantic(&pin.version).map(Version::Semantic),
            _ => pin.version.parse().ok().map(Version::Debian),
        };
        let Some(version) = version else { continue };
        let mut seen = BTreeSet::new();
        for entry in feed {
            let Some(fix) = entry.affects(&pin.ecosystem, &pin.name, &version, &pin.version) else {
                continue;
            };
            // Several databases tell of the same one.
            if !seen.insert(entry.name()) {
                continue;
            }
            findings.push(Finding {
                what: entry.name().to_owned(),
                subject: format!("{} {}", pin.name, pin.version),
                message: match fix {
                    Fix::In(version) => format!("fixed in {version}"),
                    Fix::None => "no fixed version is known".to_owned(),
                },
                used_by: used_by.iter().cloned().collect(),
            });
        }
    }
    findings.sort();
    Audit { findings, compared: pins.len(), unknown }
}

/// Everything that a feed may know, with where it is used; and what none can.
fn pins(lock: &Lock, wanted: impl Fn(&str) -> bool) -> (BTreeMap<Pin, BTreeSet<String>>, Vec<String>) {
    let mut pins: BTreeMap<Pin, BTreeSet<String>> = BTreeMap::new();
    let mut unknown = Vec::new();
    let mut taken_apart: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut put = |ecosystem: &str, name: &str, version: &str, by: String| {
        let (ecosystem, name, version) = (ecosystem.to_owned(), name.to_owned(), version.to_owned());
        pins.entry(Pin { ecosystem, name, version }).or_default().insert(by);
    };
    for (release_name, release) in lock.release.iter().filter(|(name, _)| wanted(name)) {
        for (name, component) in &release.component {
            let by = format!("release {release_name}: {name}");
            match component {
                Component::Url(downloads) => {
                    let url = downloads.first().and_then(|download| download.urls.first());
                    match url.and_then(|url| published(url)) {
                        Some((module, version)) => put("Go", &module, &version, by),
                        None => unknown.push(by),
                    }
                }
                Component::Build { build: build_name } => {
                    match lock.build.get(build_name).map(|build| &build.from) {
                        Some(BuildFrom::Go(_)) => {
                            for module in lock.modules(build_name).filter(|module| module.sum.is_some()) {
                                match module.version.strip_prefix(GO_ITSELF) {
                                    Some(version) if module.path == TOOLCHAIN => {
                                        let version = version.split(".linux").next().unwrap_or_default();
                                        put("Go", "stdlib", version, by.clone());
                                    }
                                    _ => put("Go", &module.path, &module.version, by.clone()),
                                }
                            }
                        }
                        Some(BuildFrom::Debian { source: name }) => {
                            if let Some(source) = lock.source.get(name)
                                && let Some(ecosystem) = debian(&source.suite)
                            {
                                put(ecosystem, name, &source.version, by);
                            }
                        }
                        None => {}
                    }
                }
                Component::Deb { deb, .. } => taken_apart.entry(deb).or_default().push(by),
                Component::Path { .. } => unknown.push(by),
            }
        }
    }
    for (suite, debs) in &lock.deb {
        let Some(ecosystem) = debian(suite) else { continue };
        for deb in debs {
            let source = source(&deb.file).unwrap_or(&deb.name);
            for root in &deb.roots {
                match root.as_str() {
                    "components" => {
                        for by in taken_apart.get(deb.name.as_str()).into_iter().flatten() {
                            put(ecosystem, source, &deb.version, by.clone());
                        }
                    }
                    root => put(ecosystem, source, &deb.version, format!("root {root}")),
                }
            }
        }
    }
    (pins, unknown)
}

fn debian(suite: &str) -> Option<&'static str> {
    DEBIAN.iter().find(|(name, _)| *name == suite).map(|(_, ecosystem)| *ecosystem)
}

/// The source package of a pool file: `pool/main/e/e2fsprogs/libcom-err2_….deb` is of `e2fsprogs`. What is signed has a
/// source package of its own, which no advisory names.
fn source(file: &str) -> Option<&str> {
    let name = file.split('/').rev().nth(1)?;
    Some(if name.starts_with("linux-signed-") { "linux" } else { name })
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn inputs_have_the_names_that_feeds_know() {
        assert_eq!(source("pool/main/e/e2fsprogs/libcom-err2_1.47.2-3+b11_amd64.deb"), Some("e2fsprogs"));
        assert_eq!(
            source("pool/main/l/linux-signed-amd64/linux-image-6.12.57+deb13-amd64_6.12.57-1_amd64.deb"),
            Some("linux")
        );
    }
}
