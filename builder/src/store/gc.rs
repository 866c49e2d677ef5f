//! Removes from a store what nobody reaches any more. What is reached, `reach` knows; this only looks at names.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err as fs;
use walkdir::WalkDir;

use crate::store::{PARTIAL, Store, held};

/// What is to stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Names of downloads: their hashes.
    pub files: BTreeSet<String>,
    /// Names of steps: `<name>-<key>`.
    pub steps: BTreeSet<String>,
}

impl Reach {
    /// Also what something else reaches.
    pub fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        self.steps.extend(other.steps);
    }
}

/// An entry that goes, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its path below the store.
    pub entry: String,
    /// What it takes on the disk: holes take nothing.
    pub bytes: u64,
}

/// What goes when only `reach` stays, sorted by entry: downloads, finished or not, and steps, but for those that a
/// running machine stands on.
///
/// # Errors
/// When the store cannot be read.
pub fn find(store: &Store, reach: &Reach) -> io::Result<Vec<Gone>> {
    let steps = store.names("steps")?;
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let held = held::held(Path::new("/proc"), &steps);
    let unreached = steps.into_iter().filter(|step| !reach.steps.contains(*step) && !held.contains(step));
    let mut entries: Vec<String> = unreached.map(|step| format!("steps/{step}")).collect();
    for file in store.names("files")? {
        if !reach.files.contains(&file) {
            entries.push(format!("files/{file}"));
        }
    }
    for name in store.names("tmp")? {
        if name.strip_suffix(PARTIAL).is_some_and(|file| !reach.files.contains(file)) {
            entries.push(format!("tmp/{name}"));
        }
    }
    entries.sort();
    let gone = |entry: String| Ok(Gone { bytes: size(&store.root.join(&entry))?, entry });
    entries.into_iter().map(gone).collect()
}

/// Removes what was found from a store that is [`Store::alone`], and the locks and records of what is not there.
///
/// # Errors
/// When something cannot be removed.
pub fn remove(store: &Store, gone: &[Gone]) -> io::Result<()> {
    for (kind, name) in gone.iter().filter_map(|gone| gone.entry.split_once('/')) {
        store.remove(kind, name)?;
    }
    // Nobody waits for a lock: this is alone.
    for lock in store.names("locks")? {
        fs::remove_file(store.root.join("locks").join(lock))?;
    }
    let steps = store.names("steps")?;
    for record in store.names("records")? {
        if steps.binary_search(&record).is_err() {
            fs::remove_file(store.record(&record))?;
        }
    }
    Ok(())
}

/// Bytes on the disk, in the blocks of 512 that the kernel counts in (stat(2)).
fn size(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in WalkDir::new(path) {
        bytes += entry?.metadata()?.blocks() * 512;
    }
    Ok(bytes)
}
