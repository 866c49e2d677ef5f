//! What a step's result is, in one hash over its tree.
//!
//! It covers paths, kinds, contents, the targets of links, and whether a file can be executed. Owners, times and the
//! other permission bits depend on who made or copied the store, and no step reads them.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::ground::sparse;

/// The unit in which a file's zeros are passed over.
const BLOCK: usize = 1 << 16;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The hash of a folder's content, in hexadecimal.
///
/// # Errors
/// When something in it cannot be read.
pub(crate) fn tree_sha256(folder: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type();
        let (what, content) = if kind.is_dir() {
            ("folder", Vec::new())
        } else if kind.is_symlink() {
            ("link", fs::read_link(path)?.as_os_str().as_bytes().to_vec())
        } else if kind.is_file() {
            let executable = fs::metadata(path)?.permissions().mode() & 0o100 != 0;
            (if executable { "program" } else { "file" }, content(path)?.to_vec())
        } else {
            ("other", Vec::new())
        };
        let name = path.strip_prefix(folder).unwrap_or(path).as_os_str().as_bytes();
        for part in [what.as_bytes(), name, &content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// A hash over a file's length and its blocks that are not all zeros, with their places: a raw disk is mostly holes,
/// which need not be read, and its hash is the same after a copy without holes.
fn content(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    let mut buffer = vec![0; BLOCK];
    for at in sparse::blocks(&file, BLOCK as u64)? {
        let block = &mut buffer[..(size - at).min(BLOCK as u64) as usize];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(block)?;
        if *block != ZEROS[..block.len()] {
            hash.update(at.to_le_bytes());
            hash.update(&*block);
        }
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use fs_err as fs;

    use super::{BLOCK, tree_sha256};

    fn tree(change: impl FnOnce(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("empty")).unwrap();
        fs::write(at.join("a"), "x").unwrap();
        fs::write(at.join("long"), [vec![0; 3 * BLOCK], vec![1; 5]].concat()).unwrap();
        symlink("a", at.join("link")).unwrap();
        change(at);
        tree_sha256(at).unwrap()
    }

    #[test]
    fn every_change_of_content_is_seen() {
        let mode =
            |path: &Path, mode| fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut seen = vec![tree(|_| ())];
        seen.push(tree(|at| fs::write(at.join("a"), "y").unwrap()));
        seen.push(tree(|at| fs::write(at.join("a"), "x\0").unwrap()));
        seen.push(tree(|at| fs::write(at.join("long"), [vec![0; 2 * BLOCK], vec![1; 5]].concat()).unwrap()));
        seen.push(tree(|at| fs::write(at.join("long"), [vec![1; 5], vec![0; 3 * BLOCK]].concat()).unwrap()));
        seen.push(tree(|at| fs::rename(at.join("a"), at.join("b")).unwrap()));
        seen.push(tree(|at| fs::remove_dir(at.join("empty")).unwrap()));
        seen.push(tree(|at| mode(&at.join("a"), 0o755)));
        seen.push(tree(|at| {
            fs::remove_file(at.join("link")).unwrap();
            symlink("long", at.join("link")).unwrap();
        }));
        seen.push(tree(|at| {
            fs::remove_file(at.join("link")).unwrap();
            fs::write(at.join("link"), "a").unwrap();
        }));
        let different: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!(different.len(), seen.len());
        // Who may read it is nothing that a step depends on.
        assert_eq!(tree(|at| mode(&at.join("a"), 0o600)), seen[0]);
    }

    #[test]
    fn a_hole_is_the_same_as_its_zeros() {
        let size = 40 * BLOCK as u64 + 7;
        let sparse = tree(|at| {
            let file = fs::File::create(at.join("disk")).unwrap();
            file.set_len(size).unwrap();
        });
        let full = tree(|at| fs::write(at.join("disk"), vec![0; size as usize]).unwrap());
        let longer = tree(|at| fs::write(at.join("disk"), vec![0; size as usize + 1]).unwrap());
        assert!(sparse == full && full != longer);
    }
}
