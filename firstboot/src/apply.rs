//! Carries a plan out so that it can be cut off anywhere: everything new is written beside its place and made
//! durable, then renamed into place, then the record follows, then the partition is wiped. Each step can be
//! repeated. It decides nothing: the plan says what is to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::FileExt;

use crate::accounts::missing;
use crate::image::Owner;
use crate::ops::Ops;
use crate::plan::{Action, Content};

/// Bytes of a device that are looked at and overwritten at once.
const CHUNK: u64 = 64 << 10;

/// What [`apply`] found and did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Files that were written.
    pub written: usize,
    /// Files that were right already.
    pub unchanged: usize,
}

/// Carries out `actions` under `root`. `hostname` is whether the running system's host name may be set, too.
///
/// # Errors
/// The kernel's, with the path. No file of the plan is in place then when one of them could not be written, and no
/// temporary file is left as far as these can be removed.
pub fn apply(root: &Path, actions: &[&Action], hostname: bool, ops: &mut dyn Ops) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut files = Vec::new();
    let mut dirs = Vec::new();
    for action in actions {
        match action {
            Action::EnsureDir { path, mode, owner } => {
                let path = root.join(path);
                add_dir(&mut dirs, path, *mode, *owner)?;
            }
            Action::WriteFile { path, mode, owner, content } => {
                let path = root.join(path);
                if is_written(&path, *mode, *owner, content)? {
                    outcome.unchanged += 1;
                } else {
                    files.push(File { temp: beside(&path), path, mode: *mode, owner: *owner, content });
                }
            }
            Action::Account(_) | Action::SetHostname(_) => {}
        }
    }
    let accounts: Vec<_> = actions.iter().filter_map(|action| action.account()).collect();
    let accounts = missing(root, &accounts)?;
    for (path, mode, owner) in accounts.homes {
        add_dir(&mut dirs, path, mode, owner)?;
    }
    let tables: Vec<_> = (accounts.files.into_iter())
        .map(|table| {
            (table.path, table.mode, table.owner, Content { bytes: table.text.into_bytes(), secret: true })
        })
        .collect();
    files.extend(tables.iter().map(|(path, mode, owner, content)| {
        let path = path.clone();
        File { temp: beside(&path), path, mode: *mode, owner: *owner, content }
    }));
    for (path, mode, owner) in &dirs {
        ops.make_dir(path, &beside(path), *mode, *owner)?;
    }
    if let Err(error) = place(&files, ops) {
        for file in &files {
            // The first error is the one to report; what is in place already has no temporary file.
            let _ = ops.remove(&file.temp);
        }
        return Err(error);
    }
    outcome.written = files.len();
    for action in actions {
        if let (Action::SetHostname(name), true) = (action, hostname) {
            ops.set_hostname(name)?;
        }
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
        if buffer[..read].iter().any(|byte| *byte != 0) {
            ops.zero(device, offset, read as u64)?;
        }
        offset += read as u64;
    }
    ops.discard(device, offset)
}

/// Adds a folder that is missing. Several may want it; the first says how it is.
fn add_dir(dirs: &mut Vec<(PathBuf, u32, Owner)>, path: PathBuf, mode: u32, owner: Owner) -> io::Result<()> {
    if !is_dir(&path)? && !dirs.iter().any(|(known, ..)| *known == path) {
        dirs.push((path, mode, owner));
    }
    Ok(())
}

struct File<'a> {
    path: PathBuf,
    temp: PathBuf,
    mode: u32,
    owner: Owner,
    content: &'a Content,
}

/// Writes all files beside their places, and only when all are durable moves them there.
fn place(files: &[File<'_>], ops: &mut dyn Ops) -> io::Result<()> {
    for file in files {
        ops.write(&file.temp, &file.content.bytes, file.mode, file.owner)?;
    }
    let homes = file_systems(files)?;
    for home in &homes {
        ops.sync(home)?;
    }
    for file in files {
        ops.rename(&file.temp, &file.path)?;
    }
    for home in &homes {
        ops.sync(home)?;
    }
    Ok(())
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
