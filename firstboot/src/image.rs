//! What the image says about itself, read-only: its role, its node table and the node tree. It does not choose a
//! node and does not complete the tree.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::cluster::{ClusterError, is_label};
use crate::console::shown;
use crate::schema::{CLUSTER_FILE, Cluster, NODE_TREE, ROLE_FILE};

/// Everything that the image holds for firstboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image's role.
    pub role: String,
    /// The node table.
    pub cluster: Cluster,
    /// The node tree, sorted by path.
    pub tree: Vec<Entry>,
    /// Owner of the files that firstboot writes itself: that of the root directory.
    pub owner: Owner,
    /// Whether another program of the image keeps `/etc/resolv.conf`, which is a link then.
    pub managed_resolver: bool,
}

/// Numeric owner and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A folder or file with its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path relative to the root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
    /// Bytes of a file; a folder has none.
    pub content: Option<Vec<u8>>,
}

/// The image is not as `builder` makes it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The node table is wrong.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The role is no name.
    #[error("/{ROLE_FILE}: `{0}` is not the name of a role")]
    Role(String),
    /// The node tree holds something else than folders and files.
    #[error("node tree: {0} is neither a folder nor a plain file with a name in UTF-8")]
    Kind(PathBuf),
}

impl Image {
    /// Reads the image under `root`.
    ///
    /// # Errors
    /// One of its files is missing or wrong.
    pub fn read(root: &Path) -> Result<Self, ImageError> {
        let role = fs::read_to_string(root.join(ROLE_FILE))?;
        let role = role.trim().to_owned();
        if !is_label(&role) {
            return Err(ImageError::Role(shown(&role)));
        }
        let cluster = Cluster::parse(&fs::read(root.join(CLUSTER_FILE))?)?;
        let mut tree = Vec::new();
        let dir = root.join(NODE_TREE);
        if dir.exists() {
            walk(&dir, "", &mut tree)?;
        }
        tree.sort_by(|a, b| a.path.cmp(&b.path));
        let meta = fs::metadata(root)?;
        let managed_resolver = root.join("etc/resolv.conf").is_symlink();
        Ok(Self { role, cluster, tree, owner: Owner { uid: meta.uid(), gid: meta.gid() }, managed_resolver })
    }
}

fn walk(dir: &Path, path: &str, tree: &mut Vec<Entry>) -> Result<(), ImageError> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| ImageError::Kind(entry.path()))?;
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let content = if meta.is_dir() {
            walk(&entry.path(), &path, tree)?;
            None
        } else if meta.is_file() {
            Some(fs::read(entry.path())?)
        } else {
            return Err(ImageError::Kind(entry.path()));
        };
        let owner = Owner { uid: meta.uid(), gid: meta.gid() };
        tree.push(Entry { path, mode: meta.mode() & 0o7777, owner, content });
    }
    Ok(())
}
