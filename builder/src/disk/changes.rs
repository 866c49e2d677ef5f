//! Files that join a disk after it was made, so that new values need no new file system and no new compression: a disk
//! stays as it is, and beside it are the clusters that such files change.
//!
//! debugfs writes the files into a skeleton of the file system, its metadata alone: that is all that it reads, and a
//! file's blocks are ones that were free, which a new file system has as zeros. What it changed there is what it would
//! have changed on the whole disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

use crate::disk::error::DiskError;
use crate::disk::layout;
use crate::disk::work::{DISK, Stock, WORK, work_folder};
use crate::ground::sparse;
use crate::sandbox::Sandbox;

/// Bytes of a cluster: what qcow2 compresses by itself (qemu-img's default).
pub const CLUSTER: u64 = 1 << 16;

/// Bytes of a block of the file system, the unit of what changes.
const BLOCK: usize = 4096;

/// Clusters by their offset on the disk, each of [`CLUSTER`] bytes.
pub type Changes = BTreeMap<u64, Vec<u8>>;

/// A file that joins a disk: its path, whose folder is there, its permission bits, and its bytes. It is root's.
pub type File<'a> = (&'a str, u32, &'a [u8]);

/// Where the tools see the disk that a skeleton is made of.
const INPUT: &str = "/kiln/input";

/// Writes the skeleton of a disk's root file system at `out`, a sparse file with everything at the disk's offsets.
///
/// # Errors
/// [`DiskError`] when the disk has no root partition or e2image fails; nothing is at `out` then.
pub fn skeleton(tools: &Sandbox, raw: &Path, out: &Path) -> Result<(), DiskError> {
    let offset = root_offset(raw)?.to_string();
    let work = work_folder(out)?;
    let tools = tools.clone().show(raw, INPUT).lend(work.path(), WORK);
    tools.run(["e2image", "-r", "-o", &offset, "-O", &offset, INPUT, DISK])?;
    // Most of it is the zeros of the journal, which it has as data.
    let made = work.path().join("skeleton.raw");
    copy(&work.path().join("disk.raw"), &made)?;
    fs::rename(made, out)?;
    Ok(())
}

/// What changes on a stock disk when files join it; works in the folder `work`, and leaves nothing in it.
///
/// # Errors
/// [`DiskError`] when a file does not fit or its folder is missing, or the disks cannot be read.
pub fn changes<'a>(
    tools: &Sandbox,
    stock: &Stock,
    files: impl Iterator<Item = File<'a>>,
    epoch: i64,
    work: &Path,
) -> Result<Changes, DiskError> {
    let work = tempfile::tempdir_in(work)?;
    let changed = work.path().join("disk.raw");
    copy(&stock.skeleton, &changed)?;
    let mut script = String::new();
    for (number, (path, mode, bytes)) in files.enumerate() {
        let source = work.path().join(number.to_string());
        fs::write(&source, bytes)?;
        fs::set_permissions(&source, std::fs::Permissions::from_mode(mode))?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (folder, name) = (quoted(folder), quoted(name));
        // Its errors come with the next lines: writing to a String has none.
        let _ = writeln!(script, "cd \"/{folder}\"\nwrite {WORK}/{number} \"{name}\"");
    }
    fs::write(work.path().join("script"), script)?;
    // debugfs(8) says what went wrong and goes on, to an exit code of 0.
    let command =
        format!("exec debugfs -w -f {WORK}/script \"{DISK}?offset={}\" 2>&1", root_offset(&stock.raw)?);
    let tools = tools.clone().lend(work.path(), WORK).env("SOURCE_DATE_EPOCH", epoch.to_string());
    let said = tools.run(["sh", "-c", &command])?;
    let expected = ["debugfs ", "debugfs: ", "Allocated inode: "];
    let said = String::from_utf8_lossy(&said);
    let mut faults = said.lines().filter(|line| !expected.iter().any(|start| line.starts_with(start)));
    if let Some(fault) = faults.next() {
        return Err(DiskError::Files { said: fault.trim_end().to_owned() });
    }
    compare(stock, &changed)
}

/// As debugfs takes it within quotation marks (libss: a mark stands for itself when it is doubled).
fn quoted(path: &str) -> String {
    path.replace('"', "\"\"")
}

fn root_offset(raw: &Path) -> Result<u64, DiskError> {
    let root = layout::root(&mut fs::File::open(raw)?);
    root.map(|root| root.range.start).map_err(|source| DiskError::layout(raw, source))
}

/// Copies a sparse file but for its blocks of zeros.
fn copy(from: &Path, to: &Path) -> Result<(), DiskError> {
    let mut from = fs::File::open(from)?;
    let mut to = fs::File::create_new(to)?;
    to.set_len(from.metadata()?.len())?;
    for start in sparse::blocks(&from, CLUSTER)? {
        for (at, block) in (start..).step_by(BLOCK).zip(cluster(&mut from, start)?.chunks(BLOCK)) {
            if block != [0; BLOCK] {
                to.seek(SeekFrom::Start(at))?;
                to.write_all(block)?;
            }
        }
    }
    Ok(())
}

/// The clusters of the disk in which the blocks lie that differ from its skeleton, with those blocks in them.
fn compare(stock: &Stock, after: &Path) -> Result<Changes, DiskError> {
    let (mut before, mut after) = (fs::File::open(&stock.skeleton)?, fs::File::open(after)?);
    let mut disk = fs::File::open(&stock.raw)?;
    let mut changes = Changes::new();
    for start in sparse::blocks(&after, CLUSTER)? {
        let (old, new) = (cluster(&mut before, start)?, cluster(&mut after, start)?);
        if old == new {
            continue;
        }
        let mut whole = cluster(&mut disk, start)?;
        let blocks = old.chunks(BLOCK).zip(new.chunks(BLOCK)).zip(whole.chunks_mut(BLOCK));
        for ((_, new), block) in blocks.filter(|((old, new), _)| old != new) {
            block.copy_from_slice(new);
        }
        changes.insert(start, whole);
    }
    Ok(changes)
}

/// A cluster of a file, which may end before it does.
fn cluster(file: &mut fs::File, start: u64) -> std::io::Result<Vec<u8>> {
    let mut cluster = Vec::with_capacity(CLUSTER as usize);
    file.seek(SeekFrom::Start(start))?;
    file.take(CLUSTER).read_to_end(&mut cluster)?;
    cluster.resize(CLUSTER as usize, 0);
    Ok(cluster)
}

/// Writes changes into an empty folder: a file for each cluster, named by its offset.
///
/// # Errors
/// When it cannot be written.
pub fn save(changes: &Changes, folder: &Path) -> std::io::Result<()> {
    changes.iter().try_for_each(|(offset, cluster)| fs::write(folder.join(offset.to_string()), cluster))
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// When it cannot be read, or is something else.
pub fn load(folder: &Path) -> std::io::Result<Changes> {
    let mut changes = Changes::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let offset = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let cluster = fs::read(&path)?;
        match offset {
            Some(offset) if cluster.len() as u64 == CLUSTER => changes.insert(offset, cluster),
            _ => return Err(std::io::Error::other(format!("`{}` is no cluster", path.display()))),
        };
    }
    Ok(changes)
}
