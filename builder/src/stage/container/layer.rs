//! The layers of container images that are made here: an unpacked root of packages, and a program with its links. Root owns
//! everything, and every time is the lock's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use tar::{Builder, EntryType};
use walkdir::{DirEntry, WalkDir};

use crate::ground::error::{Class, Explain, Result};
use crate::ground::tree::header;
use crate::lockfile::format::{ContainerImage, Program};
use crate::stage::container::layout::put;

/// A program of a container image needs what the image has not.
#[derive(Debug, thiserror::Error)]
#[error(
    "the program `{program}` of the container image `{image}` needs the loader `{loader}`, which is not in it"
)]
pub struct NoLoader {
    /// The image's reference.
    image: String,
    /// `component:file`.
    program: String,
    /// What the program names ([elf(5)](https://man7.org/linux/man-pages/man5/elf.5.html), `PT_INTERP`).
    loader: String,
}

impl Explain for NoLoader {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some("compile it without C, or give the image a `root` whose packages have it: libc6".to_owned())
    }
}

/// Refuses a program whose loader the image has not: the kernel would say that there is no such program.
pub(super) fn check_loader(
    image: &ContainerImage,
    program: &str,
    bytes: &[u8],
    root: Option<&Path>,
) -> Result<(), NoLoader> {
    let Some(loader) = loader(bytes) else { return Ok(()) };
    if root.is_some_and(|root| has(root, loader.trim_start_matches('/'))) {
        return Ok(());
    }
    Err(NoLoader { image: image.reference.clone(), program: program.to_owned(), loader })
}

/// Whether a root has a file whose folder may be a link, as /lib64 is one. None leads to this machine's own files.
fn has(root: &Path, path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let link = fs::read_link(root.join(folder)).ok();
    let folder = link.map_or(folder.to_owned(), |link| link.to_string_lossy().trim_matches('/').to_owned());
    fs::symlink_metadata(root.join(folder).join(name)).is_ok()
}

/// The loader that a program asks the kernel for; none when it is static, or no ELF file.
fn loader(program: &[u8]) -> Option<String> {
    let elf = FileHeader64::<Endianness>::parse(program).ok()?;
    let endian = elf.endian().ok()?;
    let segments = elf.program_headers(endian, program).ok()?;
    let segment = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP)?;
    let name = segment.data(endian, program).ok()?;
    Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
}

/// What nobody reads in a container: half of the files of an image. The licences stay.
const LEFT_OUT: [&str; 4] = ["usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man"];

/// Links that maintainer scripts would make with update-alternatives, by what they lead to.
const ALTERNATIVES: [(&str, &str); 1] = [("usr/bin/nc", "nc.openbsd")];

/// The files of an unpacked root, but for its documentation.
pub(super) fn of_root(root: &Path, epoch: i64) -> io::Result<Vec<u8>> {
    let is_left_out = |entry: &DirEntry| {
        let inside = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let below = LEFT_OUT.iter().any(|folder| inside.starts_with(folder));
        below && !entry.file_type().is_dir() && entry.file_name() != "copyright"
    };
    let mut out = Builder::new(Vec::new());
    for entry in WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry?;
        if is_left_out(&entry) {
            continue;
        }
        let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let kind = entry.file_type();
        if kind.is_dir() {
            let mode = if [Path::new("tmp"), Path::new("var/tmp")].contains(&name) { 0o1777 } else { 0o755 };
            let mut header = header(EntryType::Directory, mode, 0, epoch);
            out.append_data(&mut header, name.join(""), io::empty())?;
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path())?;
            out.append_link(&mut header(EntryType::Symlink, 0o777, 0, epoch), name, target)?;
        } else {
            let file = fs::File::open(entry.path())?;
            let metadata = file.metadata()?;
            let mode = metadata.permissions().mode() & 0o777;
            out.append_data(&mut header(EntryType::Regular, mode, metadata.len(), epoch), name, file)?;
        }
    }
    for (link, target) in ALTERNATIVES {
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let path = root.join(link);
        if is_there(&path.with_file_name(target)) && !is_there(&path) {
            out.append_link(&mut header(EntryType::Symlink, 0o777, 0, epoch), link, target)?;
        }
    }
    out.into_inner()
}

/// The program, names that link to it, the files beside it, and the folders that programs expect and that `root` below has
/// not. `files` are the program's and theirs by path in the image.
pub(super) fn of_program(
    program: &Program,
    files: &BTreeMap<&str, Vec<u8>>,
    root: Option<&Path>,
    epoch: i64,
) -> io::Result<Vec<u8>> {
    let mut out = Builder::new(Vec::new());
    let path = program.path.trim_start_matches('/');
    let mut folders = BTreeSet::from(["tmp".to_owned()]);
    for path in files.keys().map(|path| path.trim_start_matches('/')) {
        folders.extend(path.match_indices('/').map(|(index, _)| path[..index].to_owned()));
    }
    let is_below = |folder: &String| root.is_some_and(|root| fs::symlink_metadata(root.join(folder)).is_ok());
    for folder in folders.into_iter().filter(|folder| !is_below(folder)) {
        let mode = if folder == "tmp" { 0o1777 } else { 0o755 };
        let mut header = header(EntryType::Directory, mode, 0, epoch);
        out.append_data(&mut header, format!("{folder}/"), io::empty())?;
    }
    for (path, bytes) in files {
        put(&mut out, path.trim_start_matches('/'), 0o755, bytes, epoch)?;
    }
    for link in &program.links {
        let name = link.trim_start_matches('/');
        out.append_link(&mut header(EntryType::Symlink, 0o777, 0, epoch), name, format!("/{path}"))?;
    }
    out.into_inner()
}

#[cfg(test)]
mod tests;
