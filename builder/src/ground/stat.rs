//! How files look without being read, as stat(2) says: one that changed differs in size, inode, time of modification or of change.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

/// How a file looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stat {
    /// Bytes.
    pub(crate) size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stat {
    /// # Errors
    /// When there is no such file.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        fs::symlink_metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&std::fs::Metadata> for Stat {
    fn from(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// How a file looks itself, and what it leads to when it is a link.
pub(crate) type Both = [Option<Stat>; 2];

/// How a file looks itself, and what it leads to.
pub(crate) fn both(path: &Path) -> Both {
    let found = [fs::symlink_metadata(path), fs::metadata(path)];
    found.map(|metadata| metadata.ok().as_ref().map(Stat::from))
}

/// How files look by their path. One that is not there may come.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats(BTreeMap<PathBuf, Both>);

impl Stats {
    /// Adds a file.
    pub(crate) fn add(&mut self, path: &Path) {
        self.0.insert(path.to_owned(), both(path));
    }

    /// Adds all below a folder.
    pub(crate) fn add_all(&mut self, folder: &Path) {
        for entry in WalkDir::new(folder).follow_links(true) {
            // A link to nothing is an error with its path, as is a missing folder.
            match entry {
                Ok(entry) => self.add(entry.path()),
                Err(error) => error.path().into_iter().for_each(|path| self.add(path)),
            }
        }
    }
}
