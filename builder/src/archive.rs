//! Chosen files of a tar archive, whatever wraps it: a Debian package's data, or what upstream publishes.
//!
//! Nothing is unpacked that was not asked for, and names never become paths of the host.

#[cfg(test)]
pub(crate) mod hostile;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use crate::ground::error::{Class, Explain};
use crate::lockfile::format::Chosen;

/// A regular file of an archive.
#[derive(Debug)]
pub struct Member {
    /// Path in the archive, without a leading slash.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Why an archive could not be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not an archive of its kind, or it is damaged.
    #[error("unpacking {subject}: {message}")]
    Broken {
        /// What it is.
        subject: String,
        /// The fact.
        message: String,
    },
    /// A file that the lock names is not in it.
    #[error("{subject} has no file `{file}`")]
    NoFile {
        /// What it is.
        subject: String,
        /// The path that was looked for.
        file: String,
    },
}

impl Explain for ArchiveError {
    fn class(&self) -> Class {
        Class::Input
    }
}

/// The path of an entry below its archive's root; refuses what would escape it.
///
/// # Errors
/// When it has a part `..`.
pub fn inner_path(path: &Path) -> io::Result<PathBuf> {
    let mut inner = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => inner.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(io::Error::other(format!("the entry `{}` leaves its folder", path.display()))),
        }
    }
    Ok(inner)
}

/// Reads chosen regular files: `wanted` says which paths. It is asked of symbolic links, too, with what they lead to.
///
/// # Errors
/// When the archive is damaged.
pub fn read_members(
    archive: &mut tar::Archive<impl Read>,
    mut wanted: impl FnMut(&str, Option<PathBuf>) -> bool,
) -> io::Result<Vec<Member>> {
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = inner_path(&entry.path()?)?.to_string_lossy().into_owned();
        let kind = entry.header().entry_type();
        let link = if kind.is_symlink() { entry.link_name()?.map(Into::into) } else { None };
        if wanted(&path, link) && kind.is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.push(Member { path, content });
        }
    }
    Ok(files)
}

/// Reads chosen regular files of a tar archive that gzip compressed.
///
/// # Errors
/// When the archive is damaged.
pub fn read_tar_gz(path: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Member>> {
    let file = io::BufReader::new(fs::File::open(path)?);
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    read_members(&mut archive, |path, _| wanted(path))
}

impl Chosen {
    /// The name that a path of the archive gets, when it is chosen.
    #[must_use]
    pub fn name_of(&self, path: &str) -> Option<String> {
        let named = self.files.iter().find(|(_, wanted)| inner(wanted) == path).map(|(name, _)| name.clone());
        let in_folder = || {
            let rest = match inner(self.folder.as_ref()?) {
                "" => path,
                folder => path.strip_prefix(folder)?.strip_prefix('/')?,
            };
            (!rest.contains('/')).then(|| rest.to_owned())
        };
        named.or_else(in_folder)
    }

    /// Writes members into a folder under their names, executable; returns the first chosen path that none of them has.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, members: Vec<Member>, folder: &Path) -> io::Result<Option<&str>> {
        let mut seen = BTreeSet::new();
        for Member { path, content } in members {
            let Some(name) = self.name_of(&path) else { continue };
            let target = folder.join(&name);
            fs::write(&target, content)?;
            fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755))?;
            seen.insert(path);
        }
        Ok(self.files.values().map(String::as_str).find(|wanted| !seen.contains(inner(wanted))))
    }
}

/// `./bin/x/` is `bin/x`, and `.` the root.
fn inner(path: &str) -> &str {
    let path = path.trim_start_matches("./").trim_matches('/');
    if path == "." { "" } else { path }
}

/// The files of a folder by name.
///
/// # Errors
/// When it cannot be read.
pub fn listing(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
    };
    fs::read_dir(folder)?.map(entry).collect()
}
