//! `builder store push` and `pull`: downloads and compiled sources, shared between the stores of several machines.
//!
//! Only what the lock pins by its content is shared: downloads, Go modules, and the files that source builds make. All of it is
//! compared with the lock when it comes, so that a wrong or hostile cache costs time and nothing else. Other steps
//! nobody could verify without making them, so they stay where they were made.
//!
//! Layout there: `files/<hash>`, `steps/source-<key>/<file>` and `steps/module-<key>/<file>`.

mod entry;
mod error;
mod remote;
mod service;
mod settings;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Mutex;

use fs_err as fs;
use serde::Serialize;

use crate::go;
use crate::ground::error::Result;
use crate::ground::hash::Hash;
use crate::ground::parallel;
use crate::ground::progress::{Progress, Task};
use crate::lockfile::format::{Build, Module};
use crate::plan::Plan;
use crate::stage::source;
use crate::store::{StepKey, Store, verify};
use entry::{Entry, Kind, Pinned, entries, outputs, parts};
pub use error::ShareError;
pub use remote::Remote;

/// The most bytes of a file whose size the lock does not know.
const LARGEST: u64 = 4 << 30;

/// Entries on their way at a time.
const PARALLEL: usize = 6;

/// What a push or pull did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// Entries that were copied.
    pub copied: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that were there already.
    pub present: usize,
    /// The names of those that the source does not have, sorted.
    pub missing: Vec<String>,
    /// Those that are not what the lock says, sorted; none of them was copied.
    pub wrong: Vec<Wrong>,
}

/// An entry of the remote place that is not what the lock says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wrong {
    /// Its name there.
    pub entry: String,
    /// The fact.
    pub message: String,
}

/// How it went with an entry.
enum Outcome {
    Copied(u64),
    Present,
    Missing,
    Wrong(String),
}

/// Copies what the plan's builds read and the store has to the remote place.
///
/// # Errors
/// [`ShareError`], or when something in the store is damaged.
pub fn push(store: &Store, plan: &Plan, remote: &Remote, progress: &Progress) -> Result<Shared> {
    let mut entries = entries(plan)?;
    for entry in &mut entries {
        let sizes = entry.files(store, plan.arch).into_iter().filter_map(|(_, path)| fs::metadata(path).ok());
        entry.bytes = sizes.map(|file| file.len()).sum();
    }
    each(entries, "pushing", progress, |entry, task| {
        let files = entry.files(store, plan.arch);
        if files.is_empty() {
            return Ok(Outcome::Missing);
        }
        match &entry.kind {
            Kind::Download(file) => {
                let hash = file.hash.as_ref().map_or("", |hash| hash.as_str());
                verify::sound(verify::file(store, hash), &entry.name)?;
            }
            Kind::Module { module, key } => {
                verify::sound(verify::step(store, &key.folder()), &entry.name)?;
                go::verify(module, &store.made(key).unwrap_or_default())?;
            }
            Kind::Build { name, build, key } => {
                verify::sound(verify::step(store, &key.folder()), &entry.name)?;
                let made = store.made(key).unwrap_or_default();
                source::verify(name, build, plan.arch, &made)?;
            }
        }
        let mut copied = None;
        for (name, path) in files {
            let size = fs::metadata(&path)?.len();
            if !remote.has(&name, size)? {
                remote.put(&name, &path)?;
                *copied.get_or_insert(0) += size;
            }
            task.advance(size);
        }
        Ok(copied.map_or(Outcome::Present, Outcome::Copied))
    })
}

/// Copies what the plan's builds read and the store lacks from the remote place. What is wrong there is named in the
/// result, after everything good was taken.
///
/// # Errors
/// [`ShareError`], or when the store cannot be written.
pub fn pull(store: &Store, plan: &Plan, remote: &Remote, progress: &Progress) -> Result<Shared> {
    let (lacking, there): (Vec<_>, Vec<_>) =
        entries(plan)?.into_iter().partition(|entry| entry.files(store, plan.arch).is_empty());
    let need = lacking.iter().map(|entry| entry.bytes).sum();
    store.need(need, "the downloads").check()?;
    let mut shared = each(lacking, "pulling", progress, |entry, task| match &entry.kind {
        Kind::Download(file) => pull_download(store, remote, file, task),
        Kind::Build { build, key, .. } => pull_build(store, plan, remote, build, key, task),
        Kind::Module { module, key } => pull_module(store, remote, module, key, task),
    })?;
    shared.present += there.len();
    Ok(shared)
}

/// Does something with every entry, several at a time.
fn each(
    mut entries: Vec<Entry<'_>>,
    verb: &str,
    progress: &Progress,
    work: impl Fn(&Entry<'_>, &Task<'_>) -> Result<Outcome> + Sync,
) -> Result<Shared> {
    let shared = Mutex::new(Shared::default());
    if entries.is_empty() {
        return Ok(Shared::default());
    }
    let total = entries.iter().map(|entry| entry.bytes).sum();
    let task = progress.bytes(&format!("{verb} {} entries, {} MB", entries.len(), total / 1_000_000), total);
    // The largest first, taken from the end.
    entries.sort_by_key(|entry| entry.bytes);
    parallel::drain(entries, PARALLEL, |entry| {
        let outcome = work(&entry, &task)?;
        shared.lock().map(|mut shared| shared.add(entry.name, outcome)).unwrap_or(());
        Ok::<(), crate::ground::error::Error>(())
    })?;
    task.finish();
    let mut shared = shared.into_inner().unwrap_or_default();
    shared.missing.sort();
    shared.wrong.sort();
    Ok(shared)
}

impl Shared {
    fn add(&mut self, entry: String, outcome: Outcome) {
        match outcome {
            Outcome::Copied(bytes) => {
                self.copied += 1;
                self.bytes += bytes;
            }
            Outcome::Present => self.present += 1,
            Outcome::Missing => self.missing.push(entry),
            Outcome::Wrong(message) => self.wrong.push(Wrong { entry, message }),
        }
    }
}

fn pull_download(store: &Store, remote: &Remote, file: &Pinned, task: &Task<'_>) -> Result<Outcome> {
    let Some(hash) = &file.hash else { return Ok(Outcome::Missing) };
    let _lock = store.lock(hash.as_str())?;
    // Another builder may have brought it meanwhile.
    if store.file(hash).exists() {
        return Ok(Outcome::Present);
    }
    let need = store.need(file.size.unwrap_or(0), "a download");
    let outcome = take(remote, file, &store.partial(hash), task).map_err(|error| need.explain(error))?;
    if let Outcome::Copied(_) = outcome {
        store.admit(hash)?;
    }
    Ok(outcome)
}

/// Takes a source build, when all of its files are there and what the lock says.
fn pull_build(
    store: &Store,
    plan: &Plan,
    remote: &Remote,
    build: &Build,
    key: &StepKey,
    task: &Task<'_>,
) -> Result<Outcome> {
    pull_step(store, remote, key, &outputs(build, plan.arch, key), task, |out| {
        source::adopt(build, plan.arch, out)?;
        Ok(None)
    })
}

/// Takes a Go module, when it is what the lock says.
fn pull_module(
    store: &Store,
    remote: &Remote,
    module: &Module,
    key: &StepKey,
    task: &Task<'_>,
) -> Result<Outcome> {
    pull_step(store, remote, key, &parts(module, key), task, |out| match go::verify(module, out) {
        Ok(()) => Ok(None),
        Err(error) => Ok(Some(error.fact())),
    })
}

/// Takes the files of a step, when all of them are there; `finish` makes a result of them, or says what is wrong.
fn pull_step(
    store: &Store,
    remote: &Remote,
    key: &StepKey,
    files: &[(impl AsRef<Path>, Pinned)],
    task: &Task<'_>,
    finish: impl FnOnce(&Path) -> Result<Option<String>>,
) -> Result<Outcome> {
    let mut outcome = Outcome::Present;
    let made = store.step(key, |out| {
        // Whatever it is: the step is not made then.
        let not_made = || std::io::Error::from(std::io::ErrorKind::NotFound).into();
        let mut bytes = 0;
        for (file, pinned) in files {
            match take(remote, pinned, &out.join(file), task)? {
                Outcome::Copied(copied) => bytes += copied,
                other => {
                    outcome = other;
                    return Err(not_made());
                }
            }
        }
        outcome = Outcome::Copied(bytes);
        match finish(out)? {
            None => Ok(()),
            Some(message) => {
                outcome = Outcome::Wrong(message);
                Err(not_made())
            }
        }
    });
    match outcome {
        Outcome::Missing | Outcome::Wrong(_) => Ok(outcome),
        _ => made.map(|_| outcome),
    }
}

/// Copies a file to `path`, where it stays only when it is what the lock says.
fn take(remote: &Remote, file: &Pinned, path: &Path, task: &Task<'_>) -> Result<Outcome> {
    // A download that broke off before stays when this place does not have it.
    let Some(body) = remote.get(&file.name)? else { return Ok(Outcome::Missing) };
    let outcome = copy(body, remote, file, path, task);
    if !matches!(outcome, Ok(Outcome::Copied(_))) {
        // Why it failed is told, not that it cannot be removed.
        let _ = fs::remove_file(path);
    }
    outcome
}

fn copy(
    mut body: impl Read,
    remote: &Remote,
    file: &Pinned,
    path: &Path,
    task: &Task<'_>,
) -> Result<Outcome> {
    let wrong = |message: String| Ok(Outcome::Wrong(format!("{}: {message}", file.subject)));
    let limit = file.size.unwrap_or(LARGEST);
    let mut digest = file.hash.as_ref().map(Hash::digest);
    let mut out = fs::File::create(path)?;
    let (mut buffer, mut size) = (vec![0; 1 << 16], 0);
    loop {
        let read = body.read(&mut buffer).map_err(|error| remote.broken(&file.name, &error.to_string()))?;
        if read == 0 {
            break;
        }
        size += read as u64;
        // One byte too many is enough to know that it is wrong.
        if size > limit {
            return wrong(format!("it has more than {limit} bytes"));
        }
        digest.iter_mut().for_each(|digest| digest.update(&buffer[..read]));
        out.write_all(&buffer[..read])?;
        task.advance(read as u64);
    }
    out.sync_all()?;
    let (Some(hash), Some(digest)) = (&file.hash, digest) else { return Ok(Outcome::Copied(size)) };
    match hex::encode(digest.finalize()) {
        found if found == hash.as_str() => Ok(Outcome::Copied(size)),
        found => wrong(format!("expected {hash}, found {}:{found}", hash.kind())),
    }
}
