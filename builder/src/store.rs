//! The content-addressed store: downloads by their SHA-256, results of steps by the SHA-256 of the step's description.
//!
//! A path appears by atomic rename after it is complete and verified; a lock per key lets concurrent builders share
//! work. It does not know the network nor what the steps do, and it never holds a secret.
//!
//! Layout: `files/<sha256>`, `steps/<name>-<key>/`, `records/<name>-<key>` (what the step's content was when it was
//! made), `tmp/` (unfinished), `scratch/` (what unfinished work goes on from), `locks/`, and `in-use`, which every builder
//! holds while it runs.

pub(crate) mod apart;
mod error;
pub mod gc;
mod held;
mod key;
pub(crate) mod record;
pub(crate) mod room;
pub mod verify;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fs_err as fs;
use nix::unistd::geteuid;

use crate::ground::durable;
use crate::ground::error::Result;
use crate::sandbox;
pub use error::StoreError;
pub use key::StepKey;
pub use room::FullError;
use room::Need;

/// A store in a folder of the host.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// The lock of `in-use`: nothing that a builder may read is removed meanwhile.
    _in_use: Arc<File>,
    /// The steps that were asked for, when none may be made.
    asked: Option<Arc<Mutex<BTreeSet<String>>>>,
}

/// The folders of a store.
const FOLDERS: [&str; 6] = ["files", "steps", "records", "tmp", "scratch", "locks"];

/// An exclusive lock of one key, held until dropped.
#[derive(Debug)]
pub struct KeyLock {
    _file: File,
}

impl Store {
    /// Opens a store, making it when needed, and removes what killed builders left. Waits while something is removed
    /// from it.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(root: &Path) -> io::Result<Self> {
        for folder in FOLDERS {
            fs::create_dir_all(root.join(folder))?;
        }
        let store = Self::attach(root, File::lock_shared)?;
        store.sweep()?;
        Ok(store)
    }

    /// Opens a store that is there, to look at it and no more: what builders need stays meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Missing`], or when it cannot be read.
    pub fn look(root: &Path) -> Result<Self> {
        is_store(root)?;
        Ok(Self::attach(root, File::lock_shared)?)
    }

    /// Opens a store that is there when nothing else uses it, to remove something; others wait until this is dropped.
    ///
    /// # Errors
    /// [`StoreError`], or when it cannot be read.
    pub fn alone(root: &Path) -> Result<Self> {
        is_store(root)?;
        let mut busy = false;
        let store = Self::attach(root, |file| match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                busy = true;
                Ok(())
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        })?;
        if busy {
            return Err(StoreError::Busy { root: root.to_owned() }.into());
        }
        store.sweep()?;
        Ok(store)
    }

    fn attach(root: &Path, lock: impl FnOnce(&File) -> io::Result<()>) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let in_use = open_lock(&root.join("in-use"))?;
        lock(&in_use)?;
        Ok(Self { root, _in_use: Arc::new(in_use), asked: None })
    }

    /// Removes what killed builders left.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("tmp"))? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            // A partial download is kept: the next fetch resumes it.
            if name.ends_with(PARTIAL) {
                continue;
            }
            if self.try_lock(name)?.is_some() {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Where a verified download lies, or will.
    #[must_use]
    pub fn file(&self, hash: &impl AsRef<str>) -> PathBuf {
        self.root.join("files").join(hash.as_ref())
    }

    /// Where a download grows until it is verified; kept when the download breaks off.
    #[must_use]
    pub fn partial(&self, hash: &impl AsRef<str>) -> PathBuf {
        self.root.join("tmp").join(format!("{}{PARTIAL}", hash.as_ref()))
    }

    /// The bytes of a download of a known size that have yet to come.
    pub(crate) fn lacking(&self, hash: &impl AsRef<str>, size: Option<u64>) -> u64 {
        let here = fs::metadata(self.partial(hash)).map_or(0, |partial| partial.len());
        size.unwrap_or(0).saturating_sub(here)
    }

    /// Moves a verified download to its place.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn admit(&self, hash: &impl AsRef<str>) -> io::Result<()> {
        fs::rename(self.partial(hash), self.file(hash))
    }

    /// Where a step's result lies when it was made before.
    #[must_use]
    pub fn made(&self, key: &StepKey) -> Option<PathBuf> {
        let path = self.root.join("steps").join(key.folder());
        path.is_dir().then_some(path)
    }

    /// The same store, in which no step is made; it only remembers which ones were asked for.
    #[must_use]
    pub fn asking(&self) -> Self {
        Self { asked: Some(Arc::default()), ..self.clone() }
    }

    /// The names `<name>-<key>` of the steps that were asked for.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<String> {
        let asked = self.asked.as_ref().and_then(|asked| asked.lock().ok());
        asked.map(|asked| asked.clone()).unwrap_or_default()
    }

    /// The folder of a step's result; `make` fills an empty folder when it does not exist yet.
    ///
    /// # Errors
    /// Those of `make`; the store is then as before.
    pub fn step(&self, key: &StepKey, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = key.folder();
        if let Some(asked) = &self.asked {
            asked.lock().map(|mut asked| asked.insert(folder)).ok();
            return self.made(key).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into());
        }
        if let Some(path) = self.made(key) {
            return Ok(path);
        }
        let _lock = self.lock(&folder)?;
        if let Some(path) = self.made(key) {
            return Ok(path);
        }
        tracing::debug!(%folder, "making");
        let temporary = self.root.join("tmp").join(&folder);
        remove_tree(&temporary)?;
        fs::create_dir(&temporary)?;
        let path = self.root.join("steps").join(&folder);
        let finish = || {
            // The record comes first: a step is never there without one. And what it holds is on the disk before it is
            // there: nobody reads it again before it is used.
            fs::write(self.record(&folder), record::tree_sha256(&temporary)?)?;
            nix::unistd::syncfs(fs::File::open(&temporary)?).map_err(io::Error::from)?;
            Ok(fs::rename(&temporary, &path)?)
        };
        if let Err(error) = make(&temporary).and_then(|()| finish()) {
            // How much room there is counts before what takes it goes.
            let need = Need { folder: &self.root.join("tmp"), ..self.need(room::BUILD, "a whole build") };
            let error = need.explain(error);
            // The first error is the one that counts; what is left goes with the next `open`.
            let _ = remove_tree(&temporary);
            return Err(error);
        }
        Ok(path)
    }

    /// The folders of several steps that cost nothing to make: as [`Store::step`], but on the disk together. Those that are
    /// there stay.
    ///
    /// # Errors
    /// That of the first that cannot be made; the store has those before it.
    pub fn steps(&self, steps: Vec<(StepKey, impl FnOnce(&Path) -> Result<()>)>) -> Result<()> {
        let mut made = Vec::new();
        let mut locks = Vec::new();
        for (key, make) in steps {
            let folder = key.folder();
            locks.push(self.lock(&folder)?);
            if self.made(&key).is_some() {
                continue;
            }
            let temporary = self.root.join("tmp").join(&folder);
            remove_tree(&temporary)?;
            fs::create_dir(&temporary)?;
            make(&temporary)?;
            fs::write(self.record(&folder), record::tree_sha256(&temporary)?)?;
            made.push((temporary, self.root.join("steps").join(&folder)));
        }
        nix::unistd::syncfs(fs::File::open(&self.root)?).map_err(io::Error::from)?;
        made.into_iter().try_for_each(|(temporary, path)| Ok(fs::rename(temporary, path)?))
    }

    /// A folder for what is kept of unfinished work, to go on from it: nothing in it is verified, and whoever finishes
    /// removes it.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.root.join("scratch").join(name)
    }

    /// What the store's file system must hold.
    pub(crate) fn need(&self, bytes: u64, what: &'static str) -> Need<'_> {
        Need { bytes, what, folder: &self.root, option: "--store" }
    }

    /// Where the content of a step's folder is recorded.
    fn record(&self, folder: &str) -> PathBuf {
        self.root.join("records").join(folder)
    }

    /// The names in one of the store's folders, sorted.
    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.root.join(folder))?;
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = entries.map(name).collect::<io::Result<Vec<String>>>()?;
        names.sort();
        Ok(names)
    }

    /// Removes `files/NAME` or `steps/NAME`, the latter at once, so that nothing takes the rest of it for a result.
    fn remove(&self, kind: &str, name: &str) -> io::Result<()> {
        let path = self.root.join(kind).join(name);
        if kind != "steps" {
            return remove_tree(&path);
        }
        let temporary = self.root.join("tmp").join(name);
        fs::rename(path, &temporary)?;
        let record = self.record(name);
        if record.exists() {
            fs::remove_file(record)?;
        }
        remove_tree(&temporary)
    }

    /// Waits for the lock of a key.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn lock(&self, key: &str) -> io::Result<KeyLock> {
        let file = self.lock_file(key)?;
        file.lock()?;
        Ok(KeyLock { _file: file })
    }

    /// Waits for a part of the lock of a key, which several may have.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn share(&self, key: &str) -> io::Result<KeyLock> {
        let file = self.lock_file(key)?;
        file.lock_shared()?;
        Ok(KeyLock { _file: file })
    }

    /// The lock of a key, when nobody has it.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub(crate) fn try_lock(&self, key: &str) -> io::Result<Option<KeyLock>> {
        let file = self.lock_file(key)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(KeyLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock_file(&self, key: &str) -> io::Result<File> {
        open_lock(&self.root.join("locks").join(key))
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.into_parts().0)
}

/// A misspelt store is named, not made. One of an earlier Kiln has no records yet.
fn is_store(root: &Path) -> Result<()> {
    if !root.join("files").is_dir() {
        return Err(StoreError::Missing { root: root.to_owned() }.into());
    }
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    Ok(())
}

const PARTIAL: &str = ".part";

/// Removes a file or folder, also one of ids that a sandbox had; nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match durable::remove_tree(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !geteuid().is_root() => {
            sandbox::remove(path).map_err(io::Error::other)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests;
