//! Files out of an image: listed, printed, or copied to the host.
//!
//! A copy never writes outside of the new file or folder that it was given: everything in it is made anew, and nothing is
//! written through a link. Owners, times and attributes stay in the image, as with `cp` by an ordinary user.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};

use fs_err as fs;
use serde::Serialize;

use crate::ground::error::{Class, Explain, Result};
use crate::inspect::error::InspectError;
use crate::inspect::files::{Kind, Node, Path, printable, shown};
use crate::inspect::links::{joined, resolved};
use crate::inspect::system::packages::Owners;
use crate::inspect::{Image, Root};

/// A line of a list.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// `file`, `directory`, `link`, `device`, `pipe` or `socket`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Permission bits, as `ls` writes them: `-rw-r--r--`.
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    /// Seconds since 1970.
    mtime: i64,
    /// The package that brought it.
    package: Option<String>,
    path: String,
    /// What a link points to.
    target: Option<String>,
    /// Names of its extended attributes.
    attributes: Vec<String>,
}

/// What a copy made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copied {
    /// Files, directories and links.
    pub files: usize,
    /// Devices, pipes and sockets, which were not made.
    pub left_out: usize,
}

/// Why a file was not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// It cannot be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// It cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PrintError {
    /// Whether the reader went away.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl Explain for PrintError {
    fn class(&self) -> Class {
        match self {
            Self::Inspect(error) => error.class(),
            Self::Io(_) => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Inspect(error) => error.hint(),
            Self::Io(_) => None,
        }
    }
}

/// The path of what a person asks for; links of its folders are followed.
///
/// # Errors
/// [`InspectError::NoFile`].
pub fn find(image: &Image, root: &Root, wanted: &OsStr) -> Result<Path> {
    let wanted = wanted.as_bytes();
    let path = joined(b"", wanted, b"");
    if root.files.contains_key(&path) {
        return Ok(path);
    }
    if let Some(path) = resolved(&root.files, &path) {
        return Ok(path);
    }
    let name = path.rsplit(|byte| *byte == b'/').next();
    let by_name = |path: &&Path| path.rsplit(|byte| *byte == b'/').next() == name;
    let nearest = root.files.keys().find(by_name).map(|path| shown(path));
    let path = image.disk.path().to_owned();
    Err(InspectError::NoFile { path, wanted: printable(&String::from_utf8_lossy(wanted)), nearest }.into())
}

/// What is in a directory; none for any other file.
#[must_use]
pub fn list<'a>(root: &'a Root, folder: &[u8]) -> Option<Vec<(&'a Path, &'a Node)>> {
    if root.files.get(folder)?.kind != Kind::Folder {
        return None;
    }
    let below = below(folder);
    let inside = root.files.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
    Some(inside.filter(|(path, _)| !path.is_empty() && !path[below.len()..].contains(&b'/')).collect())
}

/// How the paths begin that are in a directory.
fn below(folder: &[u8]) -> Path {
    if folder.is_empty() { Path::new() } else { [folder, b"/"].concat() }
}

/// Writes the bytes of a file.
///
/// # Errors
/// [`PrintError`]; also when it has none.
pub fn print(image: &Image, root: &Root, path: &[u8], out: &mut impl Write) -> Result<(), PrintError> {
    let node = &root.files[path];
    let damaged = |source| InspectError::damaged(image.disk.path(), source);
    if let Kind::Link(target) = &node.kind {
        let wanted = resolved(&root.files, path).ok_or_else(|| InspectError::NoFile {
            path: image.disk.path().to_owned(),
            wanted: format!(
                "{}, to which {} leads",
                printable(&String::from_utf8_lossy(target)),
                shown(path)
            ),
            nearest: None,
        })?;
        return print(image, root, &wanted, out);
    }
    if node.kind != Kind::File {
        let (path, wanted) = (image.disk.path().to_owned(), shown(path));
        return Err(InspectError::NoBytes { path, wanted, kind: kind(&node.kind) }.into());
    }
    let mut reader = root.fs.read(path).map_err(damaged)?;
    let mut part = vec![0; 1 << 16];
    loop {
        let length = io::Read::read(&mut reader, &mut part).map_err(damaged)?;
        if length == 0 {
            return Ok(out.flush()?);
        }
        out.write_all(&part[..length])?;
    }
}

/// Copies what is at a path to a new place.
///
/// # Errors
/// When there is something already, or it cannot be written; what was made until then stays.
pub fn copy(root: &Root, from: &[u8], to: &std::path::Path) -> Result<Copied> {
    let mut copied = Copied::default();
    let mut waiting = vec![(from.to_vec(), to.to_owned())];
    while let Some((path, place)) = waiting.pop() {
        let node = &root.files[&path];
        match &node.kind {
            Kind::Folder => {
                // Ours to write in, whatever it is in the image.
                std::fs::DirBuilder::new()
                    .mode(0o700 | u32::from(node.mode & 0o755))
                    .create(&place)
                    .map_err(|error| at(&place, &error))?;
                for (path, _) in list(root, &path).unwrap_or_default() {
                    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                    waiting.push((path.clone(), place.join(OsStr::from_bytes(name))));
                }
            }
            Kind::File => {
                let mode = u32::from(node.mode & 0o755) | 0o600;
                let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&place);
                let mut file = file.map_err(|error| at(&place, &error))?;
                io::copy(&mut root.fs.read(&path)?, &mut file)?;
            }
            Kind::Link(target) => {
                symlink(OsStr::from_bytes(target), &place).map_err(|error| at(&place, &error))?
            }
            Kind::Device(..) | Kind::Pipe | Kind::Socket => {
                copied.left_out += 1;
                continue;
            }
        }
        copied.files += 1;
    }
    // Otherwise a caller would look in vain.
    fs::symlink_metadata(to)?;
    Ok(copied)
}

fn at(place: &std::path::Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", place.display()))
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "directory",
        Kind::Link(_) => "link",
        Kind::Device(..) => "device",
        Kind::Pipe => "pipe",
        Kind::Socket => "socket",
    }
}

impl Entry {
    /// What is said of a file.
    #[must_use]
    pub fn of(path: &Path, node: &Node, owners: &Owners) -> Self {
        let target = match &node.kind {
            Kind::Link(target) => Some(String::from_utf8_lossy(target).into_owned()),
            _ => None,
        };
        Self {
            kind: kind(&node.kind),
            mode: mode(node),
            uid: node.uid,
            gid: node.gid,
            size: node.size,
            mtime: node.modified.0,
            package: owners.of(path).map(str::to_owned),
            path: format!("/{}", String::from_utf8_lossy(path)),
            target,
            attributes: node.attributes.keys().cloned().collect(),
        }
    }
}

/// As `ls` writes it.
fn mode(node: &Node) -> String {
    let first = match &node.kind {
        Kind::File => '-',
        Kind::Folder => 'd',
        Kind::Link(_) => 'l',
        Kind::Device(letter, ..) => *letter,
        Kind::Pipe => 'p',
        Kind::Socket => 's',
    };
    let bits = (0..9).map(|index| {
        let (set, who) = (node.mode & (0o400 >> index) != 0, index / 3);
        let special = node.mode & (0o4000 >> who) != 0;
        match (index % 3, set, special) {
            (2, true, true) => {
                if who == 2 {
                    't'
                } else {
                    's'
                }
            }
            (2, false, true) => {
                if who == 2 {
                    'T'
                } else {
                    'S'
                }
            }
            (_, false, _) => '-',
            (0, ..) => 'r',
            (1, ..) => 'w',
            _ => 'x',
        }
    });
    std::iter::once(first).chain(bits).collect()
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, uid, gid, size, path, .. } = self;
        let package = self.package.as_deref().unwrap_or("-");
        write!(f, "{mode}  {uid:>5} {gid:>5}  {size:>11}  {package:20}  {}", printable(path))?;
        self.target.iter().try_for_each(|target| write!(f, " -> {}", printable(target)))
    }
}
