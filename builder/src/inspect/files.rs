//! The files of an ext2, ext3 or ext4 file system, read without mounting it: what there is at each path, and its bytes.
//!
//! It owns the walk and its bounds. A crate reads the file system (checksums, journal, extents); `inodes` adds what it
//! does not tell.

mod inodes;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use ext4_view::{Ext4, Ext4Error, Ext4Read, File, Metadata};

use crate::disk::file::DiskRange;
use crate::inspect::files::inodes::Inodes;

/// The inode number of the root directory.
const ROOT: u32 = 2;

/// The deepest path, and the most files, of a file system that is read: a damaged one can have any.
const DEEPEST: usize = 256;
const MOST_FILES: usize = 8 << 20;

/// The most bytes of a symbolic link: a block.
const LONGEST_LINK: u64 = 1 << 16;

/// A path from the file system's root on, with `/` between names and none before them; the root's own is empty.
pub type Path = Vec<u8>;

/// The files of a file system, by their paths.
pub type Files = BTreeMap<Path, Node>;

/// What there is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What kind of file it is.
    pub kind: Kind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u16,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// When its bytes were last changed: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// When it was last changed itself, seconds.
    pub changed: i64,
    /// When it was made, seconds, where its inode has room to say so.
    pub created: Option<i64>,
    /// Its inode's number.
    pub inode: u32,
    /// How many names it has.
    pub links: u16,
    /// Its extended attributes.
    pub attributes: BTreeMap<String, Vec<u8>>,
}

/// The kinds of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link with what it points to.
    Link(Vec<u8>),
    /// A block or character device (its letter in `ls`), with its numbers.
    Device(char, u32, u32),
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
}

/// An opened file system.
pub struct FileSystem {
    fs: Ext4,
    inodes: Inodes,
}

/// The crate reads through this.
struct Reader(DiskRange);

impl Ext4Read for Reader {
    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.read_at(at, bytes)?)
    }
}

impl FileSystem {
    /// # Errors
    /// When it is damaged, or has a feature that is not read here.
    pub fn open(partition: &DiskRange) -> io::Result<Self> {
        let inodes = Inodes::open(partition.clone())?;
        let fs = Ext4::load(Box::new(Reader(partition.clone()))).map_err(plain)?;
        Ok(Self { fs, inodes })
    }

    /// Everything that is there, by its path.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn walk(&self) -> io::Result<Files> {
        let root = self.fs.metadata("/").map_err(plain)?;
        let mut found = BTreeMap::from([(Path::new(), self.node(b"", &root, ROOT)?)]);
        let (mut folders, mut waiting) = (BTreeSet::from([ROOT]), vec![(Path::new(), ROOT)]);
        while let Some((folder, number)) = waiting.pop() {
            let numbers = self.inodes.folder(&self.inodes.get(number)?)?;
            for entry in self.fs.read_dir(absolute(&folder).as_slice()).map_err(plain)? {
                let entry = entry.map_err(plain)?;
                let name = entry.file_name().as_ref().to_vec();
                if matches!(name.as_slice(), b"." | b"..") {
                    continue;
                }
                let path = if folder.is_empty() { name.clone() } else { [&folder[..], b"/", &name].concat() };
                let number = numbers.get(&name).copied();
                let number = number.ok_or_else(|| damaged(&path, "is not in the blocks of its directory"))?;
                let node = self.node(&path, &entry.metadata().map_err(plain)?, number)?;
                if node.kind == Kind::Folder {
                    if !folders.insert(number) || path.iter().filter(|byte| **byte == b'/').count() > DEEPEST
                    {
                        return Err(damaged(&path, "is in a directory of its own, or too deep"));
                    }
                    waiting.push((path.clone(), number));
                }
                if found.len() >= MOST_FILES {
                    return Err(damaged(&path, "is one file too many"));
                }
                found.insert(path, node);
            }
        }
        Ok(found)
    }

    /// Opens a regular file, by a path of [`FileSystem::walk`].
    ///
    /// # Errors
    /// When it is damaged.
    pub fn read(&self, path: &[u8]) -> io::Result<impl Read + use<>> {
        self.fs.open(absolute(path).as_slice()).map(Contents).map_err(plain)
    }

    /// All bytes of a regular file that is small enough.
    ///
    /// # Errors
    /// When it is damaged, or has more bytes than `most`.
    pub fn bytes(&self, path: &[u8], most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(path)?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(damaged(path, "is too large for what it is"));
        }
        Ok(bytes)
    }

    fn node(&self, path: &[u8], metadata: &Metadata, number: u32) -> io::Result<Node> {
        let inode = self.inodes.get(number)?;
        let kind = metadata.file_type();
        let kind = if kind.is_symlink() {
            // The crate takes so much memory before it reads.
            if metadata.len() > LONGEST_LINK {
                return Err(damaged(path, "is a link of too many bytes"));
            }
            let target = self.fs.read_link(absolute(path).as_slice()).map_err(plain)?;
            Kind::Link(AsRef::<[u8]>::as_ref(&target).to_vec())
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_regular_file() {
            Kind::File
        } else if kind.is_fifo() {
            Kind::Pipe
        } else if kind.is_socket() {
            Kind::Socket
        } else {
            let (major, minor) = inode.device();
            Kind::Device(if kind.is_block_dev() { 'b' } else { 'c' }, major, minor)
        };
        Ok(Node {
            kind,
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.len(),
            modified: (metadata.modified().seconds(), metadata.modified().nanoseconds()),
            changed: inode.changed(),
            created: metadata.created().map(ext4_view::Timestamp::seconds),
            inode: number,
            links: inode.links(),
            attributes: self.inodes.attributes(&inode)?,
        })
    }
}

/// A file's bytes.
struct Contents(File);

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_bytes(buffer).map_err(plain)
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}

/// A path for people.
#[must_use]
pub fn shown(path: &[u8]) -> String {
    format!("/{}", printable(&String::from_utf8_lossy(path)))
}

/// A text without what would steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let escaped = |letter: char| match letter.is_control() {
        true => letter.escape_default().collect::<String>(),
        false => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

fn damaged(path: &[u8], fact: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file system is damaged: {} {fact}", shown(path)))
}

fn plain(error: Ext4Error) -> io::Error {
    match error {
        Ext4Error::Io(source) => io::Error::other(source.to_string()),
        error => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    }
}
