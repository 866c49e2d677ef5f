//! What is installed in a root file system: its distribution and kernels, its packages and what they own, its units, and
//! programs that no package brought.

pub mod packages;
pub mod programs;
pub mod units;

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::inspect::files::{FileSystem, Kind, Node, Path};
use crate::inspect::system::packages::{Owners, Package};
use crate::inspect::system::programs::Program;
use crate::inspect::system::units::Unit;

/// The most bytes of a text file that is read here.
const LARGEST_TEXT: u64 = 64 << 20;

/// The files of a root file system, by their paths.
pub type Files = BTreeMap<Path, Node>;

/// What is installed.
#[derive(Debug, Clone, Serialize)]
pub struct System {
    /// The distribution's name: `PRETTY_NAME` of os-release(5).
    pub name: Option<String>,
    /// The kernels in /boot, by their releases.
    pub kernels: Vec<String>,
    /// The packages that dpkg has installed, by name.
    pub packages: Vec<Package>,
    /// Programs that no package owns.
    pub programs: Vec<Program>,
    /// The units of systemd.
    pub units: Vec<Unit>,
    /// How many regular files there are, directories, and links.
    pub files: Count,
    /// Who owns which path.
    #[serde(skip)]
    pub owners: Owners,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Regular files.
    pub regular: usize,
    /// Bytes of them; of a file with several names once.
    pub bytes: u64,
    /// Directories.
    pub directories: usize,
    /// Symbolic links.
    pub links: usize,
}

impl System {
    /// Looks at a file system. One without a distribution has none of what belongs to it.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn of(fs: &FileSystem, files: &Files) -> io::Result<Self> {
        let release = match text(fs, files, "etc/os-release")? {
            Some(text) => Some(text),
            None => text(fs, files, "usr/lib/os-release")?,
        };
        let owners = Owners::read(fs, files)?;
        Ok(Self {
            name: release.as_deref().and_then(pretty_name),
            kernels: kernels(files),
            packages: packages::installed(fs, files)?,
            programs: programs::without_owner(fs, files, &owners)?,
            units: units::of(fs, files, &owners)?,
            files: count(files),
            owners,
        })
    }
}

/// The text of a file, through symbolic links; none when there is no such file.
fn text(fs: &FileSystem, files: &Files, path: &str) -> io::Result<Option<String>> {
    let Some(path) = resolved(files, path.as_bytes()) else { return Ok(None) };
    let bytes = fs.bytes(&path, LARGEST_TEXT)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The path of the regular file to which a path leads, through links of any of its parts.
#[must_use]
pub fn resolved(files: &Files, path: &[u8]) -> Option<Path> {
    let mut path = path.to_vec();
    // As many links as the kernel follows.
    for _ in 0..40 {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut ends = ends.chain([path.len()]);
        let link = ends.find_map(|end| match files.get(&path[..end]).map(|node| &node.kind) {
            Some(Kind::Link(target)) => Some((end, target)),
            _ => None,
        });
        let Some((end, target)) = link else {
            return (files.get(&path)?.kind == Kind::File).then_some(path);
        };
        let folder = path[..end].rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
        let from = if target.starts_with(b"/") { &[][..] } else { folder };
        path = joined(from, target, &path[end..]);
    }
    None
}

/// A path without `.` and `..`: a folder, what a link says, and what follows.
fn joined(folder: &[u8], target: &[u8], rest: &[u8]) -> Path {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in [folder, target, rest].into_iter().flat_map(|part| part.split(|byte| *byte == b'/')) {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join(&b'/')
}

fn pretty_name(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).escape_debug().to_string())
}

fn kernels(files: &Files) -> Vec<String> {
    let prefix = &b"boot/vmlinuz-"[..];
    let found = files.range(prefix.to_vec()..).map_while(|(path, _)| path.strip_prefix(prefix));
    found.map(|release| String::from_utf8_lossy(release).escape_debug().to_string()).collect()
}

fn count(files: &Files) -> Count {
    let mut count = Count::default();
    let mut seen = std::collections::BTreeSet::new();
    for node in files.values() {
        match node.kind {
            Kind::File => {
                count.regular += 1;
                if seen.insert(node.inode) {
                    count.bytes += node.size;
                }
            }
            Kind::Folder => count.directories += 1,
            Kind::Link(_) => count.links += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn links_lead_from_their_folder() {
        let path = |folder: &str, target: &str, rest: &str| {
            String::from_utf8(joined(folder.as_bytes(), target.as_bytes(), rest.as_bytes())).unwrap()
        };
        assert_eq!(path("etc", "../usr/lib/os-release", ""), "usr/lib/os-release");
        assert_eq!(path("", "usr/bin", "/ls"), "usr/bin/ls");
        assert_eq!(path("a/b", "../../../../x/./y", ""), "x/y");
    }
}
