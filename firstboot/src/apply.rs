//! Carries a plan out so that it can be cut off anywhere: everything new is written beside its place and made
//! durable, then it is recorded that it begins, then it is renamed into place, then the record follows, then the
//! partition is wiped. Each step can be repeated. It decides nothing: the plan says what is to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;

use crate::accounts::missing;
use crate::content::Content;
use crate::identity::is_zero;
use crate::image::Owner;
use crate::ops::Ops;
use crate::plan::Action;

/// Bytes of a device that are looked at and overwritten at once.
const CHUNK: u64 = 64 << 10;

/// What is to be done under a root.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// What stands in the place of the record, and is durable, before anything else gets its place. It is written only
    /// when something has to be moved, and the record too.
    pub begun: Vec<Action>,
    /// The plan, or a part of it.
    pub actions: Vec<&'a Action>,
    /// Files that an earlier plan had and this one has not, absolute.
    pub stale: Vec<&'a str>,
    /// The record and its folders: it gets its place when everything else is durable.
    pub record: Vec<Action>,
    /// Whether a power cut may undo the record, because the next boot then writes it again.
    pub passing: bool,
    /// Whether the running system's host name may be set, too.
    pub hostname: bool,
}

/// What [`apply`] found and did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Files that were written.
    pub written: usize,
    /// Files that were right already.
    pub unchanged: usize,
}

/// Carries out a change under `root`.
///
/// # Errors
/// The kernel's, with the path. No file of the plan is in place then when one of them could not be written, and no
/// temporary file is left as far as these can be removed.
pub fn apply(root: &Path, change: &Change<'_>, ops: &mut dyn Ops) -> io::Result<Outcome> {
    let mut found = Found::default();
    for action in &change.actions {
        found.add(root, action, Turn::Second)?;
    }
    let accounts: Vec<_> = change.actions.iter().filter_map(|action| action.account()).collect();
    let accounts = missing(root, &accounts)?;
    for (path, mode, owner) in accounts.homes {
        found.add_dir(path, mode, owner)?;
    }
    let tables: Vec<_> = (accounts.files.into_iter())
        .map(|table| {
            (table.path, table.mode, table.owner, Content { bytes: table.text.into_bytes(), secret: true })
        })
        .collect();
    found.files.extend(tables.iter().map(|(path, mode, owner, content)| {
        let path = path.clone();
        File { temp: beside(&path), path, mode: *mode, owner: *owner, content, turn: Turn::Second }
    }));
    let outcome = Outcome { written: found.files.len(), unchanged: found.unchanged };
    let moves = !found.files.is_empty() || !change.stale.is_empty();
    let before = found.files.len();
    for action in &change.record {
        found.add(root, action, Turn::Last)?;
    }
    if moves && found.files.len() > before {
        for action in &change.begun {
            found.add(root, action, Turn::First)?;
        }
    }
    for (path, mode, owner) in &found.dirs {
        ops.make_dir(path, &beside(path), *mode, *owner)?;
    }
    if let Err(error) = place(root, &found.files, change, ops) {
        for file in &found.files {
            // The first error is the one to report; what is in place already has no temporary file.
            let _ = ops.remove(&file.temp);
        }
        return Err(error);
    }
    Ok(outcome)
}

/// Removes files that an earlier plan had and the present one has not. What is no plain file any more was not ours.
///
/// # Errors
/// The kernel's, with the path.
pub fn remove(root: &Path, stale: &[&str], ops: &mut dyn Ops) -> io::Result<()> {
    for path in stale {
        let path = root.join(path.trim_start_matches('/'));
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            ops.remove(&path)?;
        }
    }
    Ok(())
}

/// Overwrites whatever a device holds with zeros.
///
/// # Errors
/// The kernel's, with the path.
pub fn wipe(device: &Path, ops: &mut dyn Ops) -> io::Result<()> {
    let file = fs::File::open(device)?;
    let mut buffer = vec![0; CHUNK as usize];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            break;
        }
        if !is_zero(&buffer[..read]) {
            ops.zero(device, offset, read as u64)?;
        }
        offset += read as u64;
    }
    ops.discard(device, offset)
}

/// What is missing.
#[derive(Default)]
struct Found<'a> {
    dirs: Vec<(PathBuf, u32, Owner)>,
    files: Vec<File<'a>>,
    unchanged: usize,
}

impl<'a> Found<'a> {
    fn add(&mut self, root: &Path, action: &'a Action, turn: Turn) -> io::Result<()> {
        match action {
            Action::EnsureDir { path, mode, owner } => self.add_dir(root.join(path), *mode, *owner),
            Action::WriteFile { path, mode, owner, content } => {
                let path = root.join(path);
                if is_written(&path, *mode, *owner, content)? {
                    self.unchanged += 1;
                } else {
                    let mut temp = beside(&path);
                    if turn == Turn::First {
                        // The record that follows it to the same place is written at the same time.
                        temp = beside(&temp);
                    }
                    self.files.push(File { temp, path, mode: *mode, owner: *owner, content, turn });
                }
                Ok(())
            }
            Action::Account(_) | Action::SetHostname(_) => Ok(()),
        }
    }

    /// Adds a folder that is missing. Several may want it; the first says how it is.
    fn add_dir(&mut self, path: PathBuf, mode: u32, owner: Owner) -> io::Result<()> {
        if !is_dir(&path)? && !self.dirs.iter().any(|(known, ..)| *known == path) {
            self.dirs.push((path, mode, owner));
        }
        Ok(())
    }
}

struct File<'a> {
    path: PathBuf,
    temp: PathBuf,
    mode: u32,
    owner: Owner,
    content: &'a Content,
    turn: Turn,
}

/// When a file gets its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Second,
    Last,
}

/// Writes all files beside their places, and only when all are durable moves them there; those of a turn when the ones
/// before are durable in theirs.
fn place(root: &Path, files: &[File<'_>], change: &Change<'_>, ops: &mut dyn Ops) -> io::Result<()> {
    for file in files {
        ops.write(&file.temp, &file.content.bytes, file.mode, file.owner)?;
    }
    let homes = file_systems(files)?;
    let sync = |ops: &mut dyn Ops| homes.iter().try_for_each(|home| ops.sync(home));
    sync(ops)?;
    let rename = |turn: Turn, ops: &mut dyn Ops| {
        let mut any = false;
        for file in files.iter().filter(|file| file.turn == turn) {
            ops.rename(&file.temp, &file.path)?;
            any = true;
        }
        io::Result::Ok(any)
    };
    if rename(Turn::First, ops)? {
        sync(ops)?;
    }
    let moved = rename(Turn::Second, ops)?;
    remove(root, &change.stale, ops)?;
    if moved || !change.stale.is_empty() {
        sync(ops)?;
    }
    for action in change.actions.iter().filter(|_| change.hostname) {
        if let Action::SetHostname(name) = action {
            ops.set_hostname(name)?;
        }
    }
    let recorded = rename(Turn::Last, ops)?;
    if recorded && !change.passing { sync(ops) } else { Ok(()) }
}

/// One folder in each file system that receives files.
fn file_systems(files: &[File<'_>]) -> io::Result<Vec<PathBuf>> {
    let dirs: BTreeSet<_> = files.iter().filter_map(|file| file.path.parent()).collect();
    let mut homes = BTreeMap::new();
    for dir in dirs {
        homes.entry(fs::metadata(dir)?.dev()).or_insert_with(|| dir.to_owned());
    }
    Ok(homes.into_values().collect())
}

/// The temporary name of a path: the same in every attempt, so that the next one replaces what a cut left over.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.kiln-new"))
}

fn is_dir(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(true),
        Ok(_) => Err(io::Error::other(format!("`{}` is in the way: it is no folder", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the file is there with these bytes, mode and owner.
fn is_written(path: &Path, mode: u32, owner: Owner, content: &Content) -> io::Result<bool> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if meta.is_dir() {
        return Err(io::Error::other(format!("`{}` is in the way: it is a folder", path.display())));
    }
    let same = meta.is_file()
        && meta.mode() & 0o7777 == mode
        && Owner { uid: meta.uid(), gid: meta.gid() } == owner
        && meta.len() == content.bytes.len() as u64;
    Ok(same && fs::read(path)? == content.bytes)
}
