//! Reads the identity partition: a plain tar stream with one folder per node, zeros behind it. Everything in it is
//! checked before anything is believed, also what belongs to other nodes; only the own node's part is kept. It
//! neither writes files nor wipes the partition.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use fs_err as fs;
use tar::{Archive, EntryType, Header};

use crate::console::shown;
use crate::image::Owner;

/// Size of a tar block in bytes.
const BLOCK: u64 = 512;
/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// The largest file of an identity, in bytes. Keys and kubeconfigs are a few kilobytes.
pub const LARGEST_FILE: u64 = 4 << 20;
/// The largest partition that is read, in bytes.
pub const LARGEST: u64 = 64 << 20;

/// The own node's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Folders and files, sorted by path.
    pub entries: Vec<IdentityEntry>,
}

/// A folder or file of an identity.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityEntry {
    /// Path relative to the root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
    /// Bytes of a file, secret; a folder has none.
    pub content: Option<Vec<u8>>,
}

/// Without the content, which is secret.
impl fmt::Debug for IdentityEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.content.as_ref().map(Vec::len);
        write!(f, "{} {:04o} {}:{} {bytes:?} bytes", self.path, self.mode, self.owner.uid, self.owner.gid)
    }
}

/// The partition is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The device cannot be read.
    #[error("identity: {0}")]
    Read(#[from] io::Error),
    /// It holds neither zeros nor a tar stream.
    #[error("identity: it holds neither zeros nor a tar stream: {0}")]
    NotTar(String),
    /// The stream breaks off or goes on where it should not.
    #[error("identity: the tar stream is damaged after {after}: {reason}")]
    Damaged {
        /// The last entry that was good.
        after: String,
        /// What is wrong.
        reason: String,
    },
    /// An entry is of a kind that an identity does not have.
    #[error("identity: entry `{path}` {reason}")]
    Entry {
        /// Its path in the stream.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is for other nodes.
    #[error("identity: it is for {found}, and this is node `{node}`; it belongs to another image or disk")]
    OtherNodes {
        /// This node.
        node: String,
        /// The nodes of the partition.
        found: String,
    },
}

/// Whether a device or file has anything but zeros at its beginning.
///
/// # Errors
/// It cannot be read.
pub fn is_there(device: Option<&Path>) -> Result<bool, IdentityError> {
    let Some(device) = device else { return Ok(false) };
    Ok(open(device)?.is_some())
}

/// The file and its first block; `None` when there is no such file, or zeros in it.
fn open(device: &Path) -> io::Result<Option<(fs::File, Vec<u8>)>> {
    let mut file = match fs::File::open(device) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A stream never starts with a zero block, and a wipe is always finished before its record says so: the first
    // block tells an empty partition, and the usual boot reads no more than that.
    let mut first = Vec::new();
    (&mut file).take(BLOCK).read_to_end(&mut first)?;
    Ok((!is_zero(&first)).then_some((file, first)))
}

/// Whether there is nothing but zeros, looked at 16 at once: they are most of a partition, and byte by byte they are most of
/// what firstboot does.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// Reads the identity of `node` from a device or file. `None` when there is none: no such device, or zeros.
///
/// # Errors
/// The device cannot be read, or what it holds is no identity of this node.
pub fn read(device: &Path, node: &str) -> Result<Option<Identity>, IdentityError> {
    let Some((file, mut stream)) = open(device)? else { return Ok(None) };
    let zeros = read_on(file.take(LARGEST), &mut stream)?;
    parse_before(&stream, zeros, node).map(Some)
}

/// Reads to the end. The zeros there are not kept, but counted.
fn read_on(mut from: impl Read, stream: &mut Vec<u8>) -> io::Result<u64> {
    let mut zeros = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(zeros as u64),
            Ok(read) => &chunk[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if is_zero(read) {
            zeros += read.len();
        } else {
            stream.resize(stream.len() + zeros, 0);
            stream.extend_from_slice(read);
            zeros = 0;
        }
    }
}

/// Checks a whole stream and takes the part of `node`.
///
/// # Errors
/// The stream is damaged, holds something that an identity does not, or nothing for this node.
pub fn parse(stream: &[u8], node: &str) -> Result<Identity, IdentityError> {
    parse_before(stream, 0, node)
}

/// The same, of a stream that so many zeros follow.
fn parse_before(stream: &[u8], zeros: u64, node: &str) -> Result<Identity, IdentityError> {
    let mut archive = Archive::new(stream.chain(io::repeat(0).take(zeros)));
    let mut own = BTreeMap::new();
    let mut nodes = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut last = None;
    let mut end = 0;
    for entry in archive.entries()? {
        let mut entry = entry.map_err(|error| damaged(last.as_deref(), &error))?;
        let name = entry.path_bytes().into_owned();
        let path = String::from_utf8_lossy(&name).into_owned();
        let refuse = |reason: String| IdentityError::Entry { path: shown(&path), reason };
        let is_dir = match entry.header().entry_type() {
            EntryType::Regular => false,
            EntryType::Directory => true,
            other => return Err(refuse(format!("is of kind {other:?}, neither a file nor a folder"))),
        };
        let size = entry.size();
        if size > LARGEST_FILE {
            return Err(refuse(format!("has {size} bytes, over the limit of {LARGEST_FILE}")));
        }
        let (mode, owner) = attributes(entry.header()).map_err(refuse)?;
        let (top, rest) = split(&path).map_err(|reason| refuse(reason.to_owned()))?;
        if !seen.insert((top.clone(), rest.clone())) {
            return Err(refuse("stands there twice".to_owned()));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| damaged(Some(&path), &error))?;
        if bytes.len() as u64 != size {
            let reason = format!("{} of {size} bytes are there", bytes.len());
            return Err(IdentityError::Damaged { after: format!("`{}`", shown(&path)), reason });
        }
        end = entry.raw_file_position() + size.next_multiple_of(BLOCK);
        if top == node && !rest.is_empty() {
            let content = (!is_dir).then_some(bytes);
            own.insert(rest.clone(), IdentityEntry { path: rest, mode, owner, content });
        }
        nodes.insert(top);
        last = Some(path);
    }
    let behind = usize::try_from(end).ok().and_then(|end| stream.get(end..)).unwrap_or_default();
    if !is_zero(behind) {
        let reason = io::Error::other("what follows is neither an entry nor zeros");
        return Err(damaged(last.as_deref(), &reason));
    }
    if !nodes.contains(node) {
        let found: Vec<_> = nodes.iter().map(|name| format!("`{}`", shown(name))).collect();
        return Err(IdentityError::OtherNodes { node: node.to_owned(), found: found.join(", ") });
    }
    Ok(Identity { entries: own.into_values().collect() })
}

fn damaged(last: Option<&str>, error: &io::Error) -> IdentityError {
    let reason = shown(&error.to_string());
    match last {
        Some(path) => IdentityError::Damaged { after: format!("`{}`", shown(path)), reason },
        None => IdentityError::NotTar(reason),
    }
}

fn attributes(header: &Header) -> Result<(u32, Owner), String> {
    let wrong = |error: io::Error| format!("has a damaged header: {}", shown(&error.to_string()));
    let mode = header.mode().map_err(wrong)?;
    if mode & !0o777 != 0 {
        return Err(format!("has the mode {mode:o}, with more than permission bits"));
    }
    let id =
        |id: u64| u32::try_from(id).map_err(|_| format!("has the owner {id}, which is no 32-bit number"));
    let owner = Owner { uid: id(header.uid().map_err(wrong)?)?, gid: id(header.gid().map_err(wrong)?)? };
    Ok((mode, owner))
}

/// Splits `node/path/to/file` into the node and the path, which is empty for the node's own folder.
fn split(path: &str) -> Result<(String, String), &'static str> {
    if path.starts_with('/') {
        return Err("is absolute");
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut parts = path.split('/');
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("has an empty part, `.` or `..` in its path");
    }
    if path.chars().any(|char| char.is_control() || char == char::REPLACEMENT_CHARACTER) {
        return Err("has a name that is not plain text");
    }
    let top = parts.next().unwrap_or_default().to_owned();
    let rest: Vec<_> = parts.collect();
    Ok((top, rest.join("/")))
}
