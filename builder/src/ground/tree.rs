//! Files on their way into an image: an overlay in memory, and its merge with the base root file system's tar.
//!
//! The merged stream is deterministic: the base in its own order (mmdebstrap sorts it), then the overlay sorted by
//! path; numeric owners, one timestamp, no names. It does not know what the files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use fs_err as fs;
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

/// The bytes of a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file of the store.
    Path(PathBuf),
    /// Written once the file system is there: a merge makes only its folders.
    Later,
}

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Node {
    /// A regular file, owned by root.
    File {
        /// Permission bits.
        mode: u32,
        /// Its bytes.
        content: Content,
    },
    /// A symbolic link.
    Link {
        /// What it points to.
        target: String,
    },
}

/// Who brings a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Kiln itself, whatever the recipes.
    Kiln,
    /// A recipe.
    Recipe {
        /// Its name.
        recipe: String,
        /// The file of its folder that the path is made of, or that asks for it.
        source: String,
        /// The component that the file is of, where it is one's.
        component: Option<String>,
    },
}

/// A path's node and where it comes from.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// Who brings it.
    pub why: Why,
}

/// An overlay: what lies over the base, by path without leading slash. Folders follow from the paths: 0755, root's.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Puts a file; a later one replaces an earlier one.
    pub fn file(&mut self, path: &str, mode: u32, content: Content, why: &Why) {
        self.put(path, Node::File { mode, content }, why);
    }

    /// Puts a symbolic link.
    pub fn link(&mut self, path: &str, target: &str, why: &Why) {
        self.put(path, Node::Link { target: target.to_owned() }, why);
    }

    fn put(&mut self, path: &str, node: Node, why: &Why) {
        let path = path.trim_start_matches('/').to_owned();
        self.entries.insert(path, Entry { node, why: why.clone() });
    }

    /// What is at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path.trim_start_matches('/'))
    }

    /// Every path with its entry, sorted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Changes the mode of a file; false when there is none.
    pub fn set_mode(&mut self, path: &str, new: u32) -> bool {
        match self.entries.get_mut(path.trim_start_matches('/')).map(|entry| &mut entry.node) {
            Some(Node::File { mode, .. }) => {
                *mode = new;
                true
            }
            _ => false,
        }
    }

    /// The same overlay, in which every file whose bytes are here comes later.
    #[must_use]
    pub fn without_bytes(&self) -> Self {
        let entries = self.entries.iter().map(|(path, entry)| {
            let node = match &entry.node {
                Node::File { mode, content: Content::Bytes(_) } => {
                    Node::File { mode: *mode, content: Content::Later }
                }
                node => node.clone(),
            };
            (path.clone(), Entry { node, why: entry.why.clone() })
        });
        Self { entries: entries.collect() }
    }

    /// The files whose bytes are here, sorted: path, permission bits and bytes.
    pub fn bytes(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
        self.entries().filter_map(|(path, entry)| match &entry.node {
            Node::File { mode, content: Content::Bytes(bytes) } => Some((path, *mode, bytes.as_slice())),
            _ => None,
        })
    }

    /// A hash of everything in the overlay, for step keys: path, mode and content of each entry.
    ///
    /// # Errors
    /// When a file of the store cannot be read.
    pub fn digest(&self) -> io::Result<String> {
        let mut hasher = Sha256::new();
        for (path, entry) in &self.entries {
            let line = match &entry.node {
                Node::Link { target } => format!("link {path} {target}"),
                // A path in the store names its content: the step's folder is its key.
                Node::File { mode, content: Content::Path(at) } => {
                    format!("store {mode:o} {path} {}", store_name(at))
                }
                Node::File { content: Content::Later, .. } => format!("later {path}"),
                Node::File { mode, content: Content::Bytes(bytes) } => {
                    format!("file {mode:o} {path} {}", crate::ground::repro::sha256_hex(bytes))
                }
            };
            hasher.update(line);
            hasher.update([0]);
        }
        Ok(hex::encode(hasher.finalize()))
    }
}

/// The last two parts of a path in the store, `<name>-<key>` and the file, without the host's part: they name its
/// content.
pub(crate) fn store_name(path: &std::path::Path) -> String {
    let parts: Vec<_> =
        path.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("<")
}

/// Writes the base's tar with the overlay over it. `removed` are paths of the base that go; a final `*` stands for
/// any rest.
///
/// # Errors
/// When a stream breaks, or the overlay puts something below a link or a file of the base.
pub fn merge(
    base: impl Read,
    overlay: &Tree,
    removed: &[&str],
    epoch: i64,
    out: impl Write,
) -> io::Result<()> {
    let mut out = Builder::new(out);
    let mut folders = BTreeSet::new();
    let mut others = BTreeSet::new();
    let mut archive = Archive::new(base);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let raw = entry.path_bytes().into_owned();
        let path = String::from_utf8_lossy(&raw).trim_start_matches("./").trim_matches('/').to_owned();
        if removed.iter().any(|pattern| matches(pattern, &path)) {
            continue;
        }
        if entry.header().entry_type().is_dir() {
            if overlay.entries.contains_key(&path) {
                return Err(io::Error::other(format!("the overlay replaces the folder /{path} of the base")));
            }
            folders.insert(path);
        } else if overlay.entries.contains_key(&path) {
            continue;
        } else {
            others.insert(path);
        }
        append_entry(&mut out, &mut entry, &raw, epoch)?;
    }
    for (path, entry) in &overlay.entries {
        parents(
            &mut out,
            path,
            &mut folders,
            |folder| others.contains(folder) || overlay.entries.contains_key(folder),
            epoch,
        )?;
        append(&mut out, path, &entry.node, epoch)?;
    }
    out.into_inner()?.flush()
}

fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix) && path != prefix.trim_end_matches('/'),
        None => path == pattern,
    }
}

/// Copies an entry of the base with its times clamped; long names go as GNU extensions.
fn append_entry(
    out: &mut Builder<impl Write>,
    entry: &mut tar::Entry<'_, impl Read>,
    raw: &[u8],
    epoch: i64,
) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let mut header = entry.header().clone();
    header.set_mtime(header.mtime()?.min(epoch.unsigned_abs()));
    let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(raw));
    match link {
        Some(link) => out.append_link(&mut header, path, std::ffi::OsStr::from_bytes(&link)),
        None => out.append_data(&mut header, path, entry),
    }
}

/// The folders above a path that the base does not have; none may be something else.
fn parents(
    out: &mut Builder<impl Write>,
    path: &str,
    folders: &mut BTreeSet<String>,
    is_other: impl Fn(&str) -> bool,
    epoch: i64,
) -> io::Result<()> {
    for (index, _) in path.match_indices('/') {
        let folder = &path[..index];
        if folders.contains(folder) {
            continue;
        }
        if is_other(folder) {
            return Err(io::Error::other(format!(
                "/{path} of the overlay lies below /{folder}, which is no folder"
            )));
        }
        let mut header = header(EntryType::Directory, 0o755, 0, epoch);
        out.append_data(&mut header, format!("./{folder}/"), io::empty())?;
        folders.insert(folder.to_owned());
    }
    Ok(())
}

fn append(out: &mut Builder<impl Write>, path: &str, node: &Node, epoch: i64) -> io::Result<()> {
    let name = format!("./{path}");
    match node {
        Node::Link { target } => {
            out.append_link(&mut header(EntryType::Symlink, 0o777, 0, epoch), name, target)
        }
        Node::File { mode, content: Content::Bytes(bytes) } => {
            let mut header = header(EntryType::Regular, *mode, bytes.len() as u64, epoch);
            out.append_data(&mut header, name, bytes.as_slice())
        }
        Node::File { content: Content::Later, .. } => Ok(()),
        Node::File { mode, content: Content::Path(path) } => {
            let file = fs::File::open(path)?;
            let mut header = header(EntryType::Regular, *mode, file.metadata()?.len(), epoch);
            out.append_data(&mut header, name, file)
        }
    }
}

/// A header of root's entry with the one timestamp.
pub(crate) fn header(kind: EntryType, mode: u32, size: u64, epoch: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch.unsigned_abs());
    header
}

#[cfg(test)]
mod tests;
