//! The content-addressed store: downloads by their SHA-256, results of steps by the SHA-256 of the step's description.
//!
//! A path appears by atomic rename after it is complete and verified; a lock per key lets concurrent builders share
//! work. It does not know the network nor what the steps do, and it never holds a secret.
//!
//! Layout: `files/<sha256>`, `steps/<name>-<key>/`, `tmp/` (unfinished), `locks/`.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use crate::error::Result;
use crate::repro::sha256_hex;

/// The name of what a step makes: a function of everything that may change a byte of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StepKey {
    name: &'static str,
    digest: String,
}

impl StepKey {
    /// The key of a step from its recipe's version and its description, which holds every parameter and the keys or
    /// hashes of all inputs. Its JSON form is canonical: structs in the order of their fields, maps sorted.
    ///
    /// # Panics
    /// When the description has no JSON form, which a derived `Serialize` without foreign map keys always has.
    #[must_use]
    pub fn new(name: &'static str, recipe_version: u32, description: &impl Serialize) -> Self {
        let text = serde_json::to_string(&(name, recipe_version, description));
        let text =
            text.unwrap_or_else(|error| panic!("the description of step `{name}` has no JSON form: {error}"));
        Self { name, digest: sha256_hex(text) }
    }

    /// The digest's 32 bytes: what UUIDs and serial numbers derive from.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // The digest is hexadecimal by construction.
        let _ = hex::decode_to_slice(&self.digest, &mut bytes);
        bytes
    }

    /// The digest in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn folder(&self) -> String {
        format!("{}-{}", self.name, self.digest)
    }
}

/// A store in a folder of the host.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// An exclusive lock of one key, held until dropped.
#[derive(Debug)]
pub struct KeyLock {
    _file: File,
}

impl Store {
    /// Opens a store, making it when needed, and removes what killed builders left.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(root: &Path) -> io::Result<Self> {
        for folder in ["files", "steps", "tmp", "locks"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let store = Self { root: fs::canonicalize(root)? };
        for entry in fs::read_dir(store.root.join("tmp"))? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            // A partial download is kept: the next fetch resumes it.
            if name.ends_with(PARTIAL) {
                continue;
            }
            if store.try_lock(name)?.is_some() {
                remove_tree(&path)?;
            }
        }
        Ok(store)
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

    /// The folder of a step's result; `make` fills an empty folder when it does not exist yet.
    ///
    /// # Errors
    /// Those of `make`; the store is then as before.
    pub fn step(&self, key: &StepKey, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        if let Some(path) = self.made(key) {
            return Ok(path);
        }
        let folder = key.folder();
        let _lock = self.lock(&folder)?;
        if let Some(path) = self.made(key) {
            return Ok(path);
        }
        tracing::debug!(%folder, "making");
        let temporary = self.root.join("tmp").join(&folder);
        remove_tree(&temporary)?;
        fs::create_dir(&temporary)?;
        if let Err(error) = make(&temporary) {
            // The first error is the one that counts; what is left goes with the next `open`.
            let _ = remove_tree(&temporary);
            return Err(error);
        }
        let path = self.root.join("steps").join(folder);
        fs::rename(&temporary, &path)?;
        Ok(path)
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

    fn try_lock(&self, key: &str) -> io::Result<Option<KeyLock>> {
        let file = self.lock_file(key)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(KeyLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock_file(&self, key: &str) -> io::Result<File> {
        let path = self.root.join("locks").join(key);
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map(fs::File::into_parts)
            .map(|(file, _)| file)
    }
}

const PARTIAL: &str = ".part";

/// Removes a file or folder, also one whose folders are not writable; nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        remove_tree(&entry?.path())?;
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::{StepKey, Store};
    use crate::error::HostIo;

    #[test]
    fn a_step_is_made_once_and_a_failed_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = StepKey::new("test", 1, &("a", 1));
        let failed = store.step(&key, |path| {
            fs_err::write(path.join("half"), "x")?;
            Err(HostIo(std::io::Error::other("broken")).into())
        });
        assert!(failed.is_err() && store.made(&key).is_none());
        let path = store.step(&key, |path| Ok(fs_err::write(path.join("whole"), "x")?)).unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
        let again = store.step(&key, |_| panic!("made twice")).unwrap();
        assert_eq!(path, again);
    }

    #[test]
    fn opening_removes_what_a_killed_builder_left_but_keeps_what_a_living_one_makes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for name in ["dead", "alive"] {
            fs_err::create_dir_all(folder.path().join("tmp").join(name)).unwrap();
        }
        let held = store.lock("alive").unwrap();
        Store::open(folder.path()).unwrap();
        assert!(!folder.path().join("tmp/dead").exists() && folder.path().join("tmp/alive").exists());
        drop(held);
    }

    #[test]
    fn a_key_depends_on_name_version_and_description() {
        let key = StepKey::new("a", 1, &"x");
        for other in [StepKey::new("b", 1, &"x"), StepKey::new("a", 2, &"x"), StepKey::new("a", 1, &"y")] {
            assert_ne!(key.digest(), other.digest());
        }
    }
}
