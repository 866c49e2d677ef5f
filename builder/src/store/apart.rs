//! A store within a store, for a build that takes over nothing that was made: only the downloads, and the steps that the
//! caller names. It goes when it is dropped.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::ground::error::Result;
use crate::store::{KeyLock, Store, remove_tree};

/// The name of its folder and of the lock that keeps it there.
const NAME: &str = "apart";

/// A store within a store.
#[derive(Debug)]
pub(crate) struct Apart {
    root: PathBuf,
    // What it leads to stays as long as it does, and it is the only one.
    _store: Store,
    _lock: KeyLock,
}

impl Apart {
    /// Makes one below a store, with those steps of it whose names (`<name>-<key>`) `keeps` is true for. Waits while there
    /// is another one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) fn of(store: &Store, keeps: impl Fn(&str) -> bool) -> Result<Self> {
        let lock = store.lock(NAME)?;
        let root = store.root.join("tmp").join(NAME);
        remove_tree(&root)?;
        fs::create_dir_all(root.join("steps"))?;
        let apart = Self { root, _store: store.clone(), _lock: lock };
        symlink(store.root.join("files"), apart.root.join("files"))?;
        for name in store.names("steps")?.into_iter().filter(|name| keeps(name)) {
            symlink(store.root.join("steps").join(&name), apart.root.join("steps").join(&name))?;
        }
        Ok(apart)
    }

    /// Its folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // What is left goes with the next `open` of the store.
        let _: io::Result<()> = remove_tree(&self.root);
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::Apart;
    use crate::store::{StepKey, Store};

    #[test]
    fn it_has_the_downloads_and_the_named_steps_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (kept, other) = (StepKey::new("module", 1, &1), StepKey::new("base", 1, &1));
        for key in [&kept, &other] {
            store.step(key, |folder| Ok(fs::write(folder.join("made"), "before")?)).unwrap();
        }
        fs::write(folder.path().join("files/download"), "x").unwrap();
        let root = {
            let apart = Apart::of(&store, |name| name.starts_with("module-")).unwrap();
            let inner = Store::open(apart.root()).unwrap();
            assert!(inner.file(&"download").exists());
            assert!(inner.made(&kept).is_some());
            assert!(inner.made(&other).is_none());
            let made = inner.step(&other, |folder| Ok(fs::write(folder.join("made"), "anew")?)).unwrap();
            assert_eq!(fs::read_to_string(made.join("made")).unwrap(), "anew");
            // A builder that begins meanwhile takes it for what a killed one left.
            Store::open(folder.path()).unwrap();
            assert!(apart.root().exists());
            apart.root().to_owned()
        };
        assert!(!root.exists());
        let before = store.made(&other).unwrap().join("made");
        assert_eq!(fs::read_to_string(before).unwrap(), "before");
        assert!(store.made(&kept).unwrap().join("made").exists(), "the links went, not what they lead to");
        assert!(folder.path().join("files/download").exists());
    }
}
