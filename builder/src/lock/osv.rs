//! A feed of known vulnerabilities in the OSV format (<https://ossf.github.io/osv-schema/>, 1.6), read from files, and
//! whether a version is affected.
//!
//! It knows ranges of Debian's and of semantic versions; ranges of commits say nothing about a release.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use crate::ground::error::{Class, Explain, Result};

/// A vulnerability.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// Its name: `DEBIAN-CVE-2025-1`, `GHSA-…`, `GO-…`.
    pub id: String,
    /// Other names of it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// When it was found to be none.
    #[serde(default)]
    withdrawn: Option<String>,
    /// What it affects.
    #[serde(default)]
    affected: Vec<Affected>,
}

#[derive(Debug, Clone, Deserialize)]
struct Affected {
    #[serde(default)]
    package: Option<Package>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Range {
    r#type: String,
    #[serde(default)]
    events: Vec<Event>,
}

/// One of its keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// A version of a package of one of the ecosystems that the lock takes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd)]
pub enum Version {
    /// As dpkg compares.
    Debian(debversion::Version),
    /// Semantic.
    Semantic(semver::Version),
}

impl Version {
    /// Reads another version of the same kind.
    fn like(&self, text: &str) -> Option<Self> {
        match self {
            Self::Debian(_) => text.parse().ok().map(Self::Debian),
            Self::Semantic(_) => semantic(text).map(Self::Semantic),
        }
    }
}

/// A semantic version, with or without a `v`, also of two numbers.
#[must_use]
pub fn semantic(text: &str) -> Option<semver::Version> {
    let text = text.trim_start_matches('v');
    text.parse().or_else(|_| format!("{text}.0").parse()).ok()
}

/// How a vulnerability affects a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// From this version on it is gone.
    In(String),
    /// No version is known.
    None,
}

/// Why a feed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// It is not there, or cannot be read.
    #[error("the vulnerability feed `{}`: {message}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The fact.
        message: String,
    },
}

impl Explain for FeedError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some("a feed is a file with one entry in the OSV format or an array of them, or a folder of such files".to_owned())
    }
}

/// A file has one or many.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Entry>),
    One(Box<Entry>),
}

/// Reads feeds: files, or folders with `*.json` files. Entries that were withdrawn are left out.
///
/// # Errors
/// [`FeedError`] with the first file that is none.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for path in paths {
        for file in files(path)? {
            let wrong = |message: String| FeedError::Unreadable { path: file.clone(), message };
            let bytes = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
            match serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))? {
                OneOrMany::Many(many) => entries.extend(many),
                OneOrMany::One(one) => entries.push(*one),
            }
        }
    }
    entries.retain(|entry| entry.withdrawn.is_none());
    Ok(entries)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => {
            Err(FeedError::Unreadable { path: path.to_owned(), message: "it has no `*.json`".to_owned() }
                .into())
        }
        false => Ok(files),
    }
}

impl Entry {
    /// The name under which most people know it.
    #[must_use]
    pub fn name(&self) -> &str {
        let cve = |name: &&str| name.starts_with("CVE-");
        let own = self.id.find("CVE-").map(|at| &self.id[at..]);
        own.or_else(|| self.aliases.iter().map(String::as_str).find(cve)).unwrap_or(&self.id)
    }

    /// How it affects a version of a package, if it does. A name of the ecosystem `Go` also covers modules below it.
    #[must_use]
    pub fn affects(&self, ecosystem: &str, name: &str, version: &Version, written: &str) -> Option<Fix> {
        let here = |affected: &&Affected| {
            affected.package.as_ref().is_some_and(|package| {
                let below = || package.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
                package.ecosystem == ecosystem && (package.name == name || ecosystem == "Go" && below())
            })
        };
        self.affected.iter().filter(here).find_map(|affected| {
            let mut known = affected.ranges.iter().filter(|range| range.r#type != "GIT");
            let listed = affected.versions.iter().any(|listed| listed == written);
            known.find_map(|range| range.affects(version)).or(listed.then_some(Fix::None))
        })
    }
}

impl Range {
    /// The specification's evaluation: the last event at or before the version counts.
    fn affects(&self, version: &Version) -> Option<Fix> {
        let mut events: Vec<(Option<Version>, &Event)> = Vec::new();
        for event in &self.events {
            let text = [&event.introduced, &event.fixed, &event.last_affected, &event.limit];
            let text = text.into_iter().flatten().next()?;
            // Zero is before every version.
            let at = if text == "0" { None } else { Some(version.like(text)?) };
            events.push((at, event));
        }
        events.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let mut affected = false;
        for (at, event) in &events {
            let reached = at.as_ref().is_none_or(|at| version >= at);
            let passed = at.as_ref().is_none_or(|at| version > at);
            if event.introduced.is_some() {
                affected |= reached;
            } else if event.last_affected.is_some() {
                affected &= !passed;
            } else {
                affected &= !reached;
            }
        }
        let later = |(at, event): &&(Option<Version>, &Event)| {
            event.fixed.is_some() && at.as_ref().is_some_and(|at| at > version)
        };
        let fix = events.iter().find(later).and_then(|(_, event)| event.fixed.clone());
        affected.then(|| fix.map_or(Fix::None, Fix::In))
    }
}
