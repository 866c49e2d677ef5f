//! Programs that no package brought, and what those that Go compiled say of themselves: their module and its version.

use std::collections::BTreeSet;
use std::io::{self, Read};

use serde::Serialize;

use crate::inspect::files::{FileSystem, Files, Kind, shown};
use crate::inspect::system::packages::Owners;

/// How what Go writes about a program begins (debug/buildinfo in Go's source).
const MAGIC: &[u8] = b"\xff Go buildinf:";

/// Its header's bytes; the texts follow, each behind its length.
const HEADER: usize = 32;

/// The most bytes of what Go writes about a program, and of its program before that.
const LARGEST_INFO: usize = 1 << 20;
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
        let info = build_info(reader)?;
        let links = files.iter().filter(|(other, it)| match &it.kind {
            Kind::Link(target) => leads(other, target, path),
            _ => *other != path && it.inode == node.inode,
        });
        programs.push(Program {
            path: shown(path),
            size: node.size,
            links: links.map(|(path, _)| shown(path)).collect(),
            ..info.as_ref().map(of_text).unwrap_or_default()
        });
    }
    Ok(programs)
}

/// Whether a link at a path leads to a file beside it, or names it whole.
fn leads(link: &[u8], target: &[u8], file: &[u8]) -> bool {
    let folder = link.rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
    target.strip_prefix(b"/") == Some(file) || [folder, b"/", target].concat() == file
}

/// The version of Go and the text about the modules, as they stand behind the magic bytes.
fn build_info(mut reader: impl Read) -> io::Result<Option<(String, String)>> {
    let mut part = Vec::new();
    loop {
        let kept = part.len();
        (&mut reader).take(4 << 20).read_to_end(&mut part)?;
        if part.len() == kept {
            return Ok(None);
        }
        let at = part.windows(MAGIC.len()).position(|window| window == MAGIC);
        if let Some(at) = at {
            (&mut reader).take(LARGEST_INFO as u64).read_to_end(&mut part)?;
            // The same bytes stand in whatever reads them, without what follows here.
            if let Some(found) = texts(&part[at..]) {
                return Ok(Some(found));
            }
            part.drain(..=at);
        } else {
            part.drain(..part.len().saturating_sub(MAGIC.len()));
        }
    }
}

fn texts(info: &[u8]) -> Option<(String, String)> {
    // The second bit: the texts are here, not behind pointers as before Go 1.18.
    if *info.get(15)? & 2 == 0 {
        return None;
    }
    let (version, rest) = text(info.get(HEADER..)?)?;
    let (modules, _) = text(rest)?;
    // Sixteen bytes before and behind it, by which Go finds the text in memory.
    let modules = modules.get(16..modules.len().saturating_sub(16)).unwrap_or_default();
    version.starts_with(b"go").then(|| {
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        (lossy(version), lossy(modules))
    })
}

/// A text behind its length, which is written in groups of seven bits, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = &bytes[index + 1..];
            return (length <= rest.len() && length <= LARGEST_INFO).then(|| rest.split_at(length));
        }
    }
    None
}

/// What the text says: `path` the main package, `mod` and `dep` the modules with their versions.
fn of_text((go, modules): &(String, String)) -> Program {
    let lines = || modules.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let package = lines().find_map(|line| match line.as_slice() {
        ["path", package] => Some((*package).to_owned()),
        _ => None,
    });
    let holds = |module: &str| {
        let rest = package.as_deref().and_then(|package| package.strip_prefix(module));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let modules = lines().filter_map(|line| match line.as_slice() {
        ["mod" | "dep", module, version, ..] if holds(module) => Some((module.len(), (*version).to_owned())),
        _ => None,
    });
    let version = modules.max().map(|(_, version)| version).filter(|version| version != "(devel)");
    let clean = |text: &str| text.escape_debug().to_string();
    Program {
        go: Some(clean(go)),
        package: package.as_deref().map(clean),
        version: version.as_deref().map(clean),
        ..Program::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER, MAGIC, build_info, of_text};

    fn program(modules: &str, before: usize) -> Vec<u8> {
        let mut bytes = vec![7; before];
        let mut header = MAGIC.to_vec();
        header.extend([8, 2]);
        header.resize(HEADER, 0);
        bytes.extend(header);
        bytes.push(8);
        bytes.extend(b"go1.27.3");
        let modules = [&[0xe1; 16], modules.as_bytes(), &[0xf9; 16]].concat();
        bytes.extend([(modules.len() & 0x7f) as u8 | 0x80, (modules.len() >> 7) as u8]);
        bytes.extend(modules);
        bytes
    }

    #[test]
    fn the_module_with_the_longest_name_has_the_package() {
        let modules = "path\tk8s.io/kubernetes/cmd/kubelet\nmod\tkiln\t(devel)\t\ndep\tk8s.io/kube\tv9\nx\n\
                       dep\tk8s.io/kubernetes\tv1.37.2\th1:x\ndep\tk8s.io\tv0.1.0\nfiller filler filler filler filler";
        // Also where a part that is read ends within it.
        for before in [0, 5, (4 << 20) - 7, (4 << 20) - 20] {
            let found = build_info(program(modules, before).as_slice()).unwrap().unwrap();
            let program = of_text(&found);
            assert_eq!(program.go.unwrap(), "go1.27.3");
            assert_eq!(program.package.unwrap(), "k8s.io/kubernetes/cmd/kubelet");
            assert_eq!(program.version.unwrap(), "v1.37.2");
        }
        assert_eq!(build_info(&MAGIC.repeat(3)[..]).unwrap(), None);
        assert_eq!(build_info(&[1; 100][..]).unwrap(), None);
    }
}
