//! Looks whether everything in a store still is what it was: downloads by their names, results of steps by their
//! records.
//!
//! It reads only, beside running builds too. Removing what is wrong needs the store alone.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use serde::Serialize;

use crate::ground::error::Result;
use crate::ground::hash::{Hash, Sha256Hex, Sha512Hex};
use crate::store::{Store, StoreError, held, record};

/// Files hashed at a time, at most.
const PARALLEL: usize = 4;

/// What is the matter with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is not what it should be, or cannot be read.
    Wrong,
    /// A step that was made before steps were recorded: nobody can tell.
    NotRecorded,
}

/// An entry that is not known to be good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its path below the store: `files/…` or `steps/…`.
    pub entry: String,
    /// What is the matter.
    pub state: State,
    /// In words.
    pub message: String,
    /// Whether it was removed.
    pub removed: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many downloads were hashed.
    pub files: usize,
    /// How many results of steps were hashed or have no record.
    pub steps: usize,
    /// What is not known to be good, sorted by entry.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many entries are wrong and still there.
    #[must_use]
    pub fn wrong(&self) -> usize {
        self.findings.iter().filter(|finding| finding.state == State::Wrong && !finding.removed).count()
    }

    /// How many steps have no record.
    #[must_use]
    pub fn not_recorded(&self) -> usize {
        self.findings.iter().filter(|finding| finding.state == State::NotRecorded).count()
    }
}

/// Hashes everything in the store.
///
/// # Errors
/// When the store's folders cannot be listed; an entry that cannot be read is a finding.
pub fn verify(store: &Store) -> Result<Report> {
    let (files, steps) = (store.names("files")?, store.names("steps")?);
    let all: Vec<(&str, &String)> =
        files.iter().map(|name| ("files", name)).chain(steps.iter().map(|name| ("steps", name))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut findings = Vec::new();
        while let Some((kind, name)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let fault = if *kind == "files" { file(store, name) } else { step(store, name) };
            findings.extend(fault.map(|(state, message)| Finding {
                entry: format!("{kind}/{name}"),
                state,
                message,
                removed: false,
            }));
        }
        findings
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(PARALLEL);
    let mut findings: Vec<Finding> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let done = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.flatten().collect()
    });
    findings.sort_by(|a, b| a.entry.cmp(&b.entry));
    Ok(Report { files: files.len(), steps: steps.len(), findings })
}

/// Removes what is wrong from a store that is [`Store::alone`], but for what a running machine stands on.
///
/// # Errors
/// When something cannot be removed.
pub fn remove(store: &Store, report: &mut Report) -> Result<()> {
    for finding in report.findings.iter_mut().filter(|finding| finding.state == State::Wrong) {
        let Some((kind, name)) = finding.entry.split_once('/') else { continue };
        if kind == "steps" && !held::held(Path::new("/proc"), &[name]).is_empty() {
            finding.message.push_str("; a running machine uses it: `builder down` first");
            continue;
        }
        store.remove(kind, name)?;
        finding.removed = true;
    }
    Ok(())
}

/// Nothing when an entry is good.
pub(crate) type Fault = Option<(State, String)>;

/// Looks at a download.
pub(crate) fn file(store: &Store, name: &str) -> Fault {
    let expected = match name.parse::<Sha256Hex>() {
        Ok(hash) => Hash::Sha256(hash),
        Err(_) => match name.parse::<Sha512Hex>() {
            Ok(hash) => Hash::Sha512(hash),
            Err(_) => return Some((State::Wrong, "its name is no hash".to_owned())),
        },
    };
    let found = || -> io::Result<String> {
        let mut digest = expected.digest();
        let mut file = fs::File::open(store.file(&expected))?;
        io::copy(&mut file, &mut crate::ground::hash::HashWriter(digest.as_mut()))?;
        Ok(hex::encode(digest.finalize()))
    };
    compare(expected.kind(), expected.as_str(), found())
}

/// Looks at a step's result.
pub(crate) fn step(store: &Store, name: &str) -> Fault {
    let recorded = fs::read_to_string(store.record(name)).unwrap_or_default();
    // A record that a power cut left empty tells nothing.
    let Ok(expected) = recorded.parse::<Sha256Hex>() else {
        return Some((State::NotRecorded, "it was made before Kiln kept records".to_owned()));
    };
    compare("tree", expected.as_str(), record::tree_sha256(&store.root.join("steps").join(name)))
}

/// Refuses what is known to be wrong; `entry` is its path below the store.
pub(crate) fn sound(fault: Fault, entry: &str) -> Result<(), StoreError> {
    match fault {
        None | Some((State::NotRecorded, _)) => Ok(()),
        Some((State::Wrong, message)) => Err(StoreError::Damaged { entry: entry.to_owned(), message }),
    }
}

fn compare(kind: &str, expected: &str, found: io::Result<String>) -> Fault {
    match found {
        Ok(found) if found == expected => None,
        Ok(found) => Some((State::Wrong, format!("expected {kind}:{expected}, found {kind}:{found}"))),
        Err(error) => Some((State::Wrong, error.to_string())),
    }
}
