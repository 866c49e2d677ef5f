//! Paths in a file system that lead through symbolic links, as the kernel would follow them there.

use std::io;

use crate::inspect::files::{FileSystem, Files, Kind, Path};

/// The most bytes of a text file that is read.
const LARGEST_TEXT: u64 = 64 << 20;

/// The text of a file, through symbolic links; none when there is no such file.
pub(super) fn text(fs: &FileSystem, files: &Files, path: &str) -> io::Result<Option<String>> {
    let path = resolved(files, path.as_bytes()).filter(|path| files[path].kind == Kind::File);
    let Some(path) = path else { return Ok(None) };
    let bytes = fs.bytes(&path, LARGEST_TEXT)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The path of the file to which a path leads, through links of any of its parts.
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
            return files.contains_key(&path).then_some(path);
        };
        let folder = path[..end].rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
        let from = if target.starts_with(b"/") { &[][..] } else { folder };
        path = joined(from, target, &path[end..]);
    }
    None
}

/// A path without `.` and `..`: a folder, what a link says, and what follows.
pub(super) fn joined(folder: &[u8], target: &[u8], rest: &[u8]) -> Path {
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
