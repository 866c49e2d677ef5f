//! Programs that no package brought, and what those that Go compiled say of themselves: their module and its version.

use std::collections::BTreeSet;
use std::io::{self, Read};

use serde::Serialize;

use crate::go::buildinfo::BuildInfo;
use crate::inspect::files::{FileSystem, Files, Kind, shown};
use crate::inspect::system::packages::Owners;

/// The most bytes of a program that is looked into.
const LARGEST_PROGRAM: u64 = 1 << 30;

/// A program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Where it is.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The version of Go that compiled it: `go1.27.3`.
    pub go: Option<String>,
    /// Its main package: `k8s.io/kubernetes/cmd/kubelet`.
    pub package: Option<String>,
    /// The version of the module that has that package.
    pub version: Option<String>,
    /// The other names of it.
    pub links: Vec<String>,
}

/// The programs in the format ELF that no package owns, by path.
///
/// # Errors
/// When the file system is damaged.
pub fn without_owner(fs: &FileSystem, files: &Files, owners: &Owners) -> io::Result<Vec<Program>> {
    let mut programs = Vec::new();
    let mut seen = BTreeSet::new();
    let candidates = files.iter().filter(|(path, node)| {
        node.kind == Kind::File
            && node.mode & 0o111 != 0
            && node.size < LARGEST_PROGRAM
            && owners.of(path).is_none()
    });
    for (path, node) in candidates {
        let mut head = [0; 4];
        if node.size < 64 || !seen.insert(node.inode) {
            continue;
        }
        let mut reader = fs.read(path)?;
        reader.read_exact(&mut head)?;
        if head != *b"\x7fELF" {
            continue;
        }
        let info = BuildInfo::read(reader)?;
        let links = files.iter().filter(|(other, it)| match &it.kind {
            Kind::Link(target) => leads(other, target, path),
            _ => *other != path && it.inode == node.inode,
        });
        programs.push(Program {
            path: shown(path),
            size: node.size,
            links: links.map(|(path, _)| shown(path)).collect(),
            ..info.as_ref().map(of_info).unwrap_or_default()
        });
    }
    Ok(programs)
}

/// Whether a link at a path leads to a file beside it, or names it whole.
fn leads(link: &[u8], target: &[u8], file: &[u8]) -> bool {
    let folder = link.rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
    target.strip_prefix(b"/") == Some(file) || [folder, b"/", target].concat() == file
}

/// As people may see it.
fn of_info(info: &BuildInfo) -> Program {
    let clean = |text: &str| text.escape_debug().to_string();
    Program {
        go: Some(clean(&info.go)),
        package: info.package.as_deref().map(clean),
        version: info.version().map(clean),
        ..Program::default()
    }
}
