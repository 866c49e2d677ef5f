//! What differs between two locks, a line for each difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::format::{Arch, Lock};

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

/// Everything that an update writes, as one line for people each.
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
    let mut packages: BTreeMap<(&str, Arch, &str), Vec<String>> = BTreeMap::new();
    for (suite, debs) in &lock.deb {
        for deb in debs {
            let roots: Vec<&str> = deb.roots.iter().map(String::as_str).collect();
            let fact = format!("{} ({}) in {}", deb.version, short(deb.sha256.as_str()), roots.join(", "));
            packages.entry((suite, deb.arch, &deb.name)).or_default().push(fact);
        }
    }
    for ((suite, arch, name), versions) in packages {
        facts.insert(format!("deb {suite} {name} {arch}"), versions.join("; "));
    }
    facts
}

/// Enough of a hash to see that it differs.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
