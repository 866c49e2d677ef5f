//! What is installed in a root file system: its distribution and kernels, its packages and what they own, its units, and
//! programs that no package brought.

pub mod packages;
pub mod programs;
pub mod units;

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;

use crate::inspect::files::{FileSystem, Files, Kind};
use crate::inspect::links::text;
use crate::inspect::system::packages::{Owners, Package};
use crate::inspect::system::programs::Program;
use crate::inspect::system::units::Unit;

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
    let mut seen = BTreeSet::new();
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
