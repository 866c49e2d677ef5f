//! Binary packages taken apart without dpkg: deb(5) is an `ar` archive whose `data.tar` member holds the files.
//!
//! It makes package roots (an unpacked closure in which programs run) and picks single files. Maintainer scripts do
//! not run here: the base root file system, which needs them, is made by mmdebstrap.

pub mod deb822;
pub mod roots;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;

use crate::archive::{Member, inner_path, read_members};
use crate::ground::error::{Class, Explain};

/// As many links are followed as Linux follows.
const MAX_LINKS: usize = 40;

/// Why a package could not be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It is not a package, or it is damaged.
    #[error("unpacking the package {}: {message}", package.display())]
    Broken {
        /// The package's file.
        package: PathBuf,
        /// The fact.
        message: String,
    },
    /// A file that a component names is not in it.
    #[error("the package {} has no file `{file}`", package.display())]
    NoFile {
        /// The package's file.
        package: PathBuf,
        /// The path that was looked for.
        file: String,
    },
}

impl Explain for DebError {
    fn class(&self) -> Class {
        match self {
            Self::Broken { .. } => Class::Host,
            Self::NoFile { .. } => Class::Input,
        }
    }
}

/// Hands the decompressed `control.tar` or `data.tar` of a package to `read`.
fn with_member<T>(
    package: &Path,
    wanted: &str,
    read: impl FnOnce(&mut tar::Archive<Box<dyn Read + '_>>) -> io::Result<T>,
) -> Result<T, DebError> {
    let broken =
        |error: io::Error| DebError::Broken { package: package.to_owned(), message: error.to_string() };
    let mut archive = ar::Archive::new(io::BufReader::new(fs::File::open(package).map_err(broken)?));
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(broken)?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let Some(compression) = name.strip_prefix(wanted) else { continue };
        let data: Box<dyn Read + '_> = match compression {
            ".xz" => Box::new(liblzma::read::XzDecoder::new(member)),
            ".zst" => Box::new(zstd::Decoder::new(member).map_err(broken)?),
            ".gz" => Box::new(flate2::read::GzDecoder::new(member)),
            "" => Box::new(member),
            _ => return Err(broken(io::Error::other(format!("its member `{name}` is of no known kind")))),
        };
        return read(&mut tar::Archive::new(data)).map_err(broken);
    }
    Err(broken(io::Error::other(format!("it has no {wanted}"))))
}

/// Unpacks the files of a package into a folder, with their modes and without owners.
///
/// # Errors
/// [`DebError::Broken`] also for an entry that would leave the folder or go through a link that leaves it.
pub fn unpack(package: &Path, root: &Path) -> Result<(), DebError> {
    with_member(package, "data.tar", |archive| {
        for entry in archive.entries()? {
            let mut entry = entry?;
            let inner = inner_path(&entry.path()?)?;
            if inner.as_os_str().is_empty() {
                continue;
            }
            let target = resolve(root, &inner)?;
            if entry.header().entry_type().is_dir() {
                fs::create_dir_all(&target)?;
                continue;
            }
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            if fs::symlink_metadata(&target).is_ok_and(|there| !there.is_dir()) {
                fs::remove_file(&target)?;
            }
            match entry.header().entry_type() {
                tar::EntryType::Symlink => {
                    let link = entry.link_name()?.ok_or_else(|| io::Error::other("a link without target"))?;
                    symlink(link, &target)?;
                }
                tar::EntryType::Link => {
                    let link = entry.link_name()?.ok_or_else(|| io::Error::other("a link without target"))?;
                    fs::hard_link(resolve(root, &inner_path(&link)?)?, &target)?;
                }
                tar::EntryType::Regular => {
                    let mut file = fs::File::create(&target)?;
                    io::copy(&mut entry, &mut file)?;
                    use std::os::unix::fs::PermissionsExt;
                    // A set-user-id bit would mean something on the host; nothing in a package root needs one.
                    let mode = entry.header().mode()? & 0o777;
                    fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
                }
                other => {
                    return Err(io::Error::other(format!("an entry of type {other:?}: {}", inner.display())));
                }
            }
        }
        Ok(())
    })
}

/// Follows the links of the parents within the root (`/bin` → `usr/bin`), so that an entry never leaves it.
pub(crate) fn resolve(root: &Path, inner: &Path) -> io::Result<PathBuf> {
    let mut links = 0;
    let mut done = PathBuf::new();
    let mut rest: Vec<_> = inner.components().map(|part| PathBuf::from(part.as_os_str())).rev().collect();
    while let Some(part) = rest.pop() {
        if part.as_os_str() == ".." {
            done.pop();
            continue;
        }
        let here = root.join(&done).join(&part);
        let link = if rest.is_empty() { None } else { fs::read_link(&here).ok() };
        let Some(target) = link else {
            done.push(part);
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::other(format!("too many links on the way to `{}`", inner.display())));
        }
        if target.is_absolute() {
            done = PathBuf::new();
        }
        let parts =
            target.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        rest.extend(parts.map(|part| PathBuf::from(part.as_os_str())).collect::<Vec<_>>().into_iter().rev());
    }
    Ok(root.join(done))
}

/// Reads chosen files of a package: `wanted` says which paths. A symbolic link stands for the file of the package that
/// it leads to, as `libx.so.1` for `libx.so.1.2`.
///
/// # Errors
/// [`DebError::Broken`].
pub fn read_files(package: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Member>, DebError> {
    let mut links = BTreeMap::new();
    let mut files = with_member(package, "data.tar", |archive| {
        read_members(archive, |path, link| {
            links.extend(link.map(|target| (path.to_owned(), target)));
            wanted(path)
        })
    })?;
    // dpkg-deb writes links after everything else, so their files are read a second time.
    let chosen = links.keys().filter(|link| wanted(link));
    let chosen: Vec<(&String, String)> =
        chosen.filter_map(|link| Some((link, follow(&links, link)?))).collect();
    if chosen.is_empty() {
        return Ok(files);
    }
    let targets = with_member(package, "data.tar", |archive| {
        read_members(archive, |path, _| chosen.iter().any(|(_, target)| target == path))
    })?;
    for (link, target) in chosen {
        let content = targets.iter().find(|member| member.path == target).map(|member| &member.content);
        files.extend(content.map(|content| Member { path: link.clone(), content: content.clone() }));
    }
    Ok(files)
}

/// The path that a link of a package leads to in the end; none when it leads out of the package or in circles.
fn follow(links: &BTreeMap<String, PathBuf>, link: &str) -> Option<String> {
    let mut path = link.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(target) = links.get(&path) else { return Some(path) };
        let mut next =
            if target.is_absolute() { PathBuf::new() } else { Path::new(&path).parent()?.to_owned() };
        for part in target.components() {
            match part {
                Component::Normal(name) => next.push(name),
                Component::ParentDir if next.pop() => {}
                Component::ParentDir | Component::Prefix(_) => return None,
                Component::CurDir | Component::RootDir => {}
            }
        }
        path = next.to_str()?.to_owned();
    }
    None
}

/// The control stanza of a package: what an archive's index says of it, but for file name, size and hash.
///
/// # Errors
/// [`DebError::Broken`].
pub fn control(package: &Path) -> Result<String, DebError> {
    with_member(package, "control.tar", |archive| {
        for entry in archive.entries()? {
            let mut entry = entry?;
            if inner_path(&entry.path()?)? == Path::new("control") {
                let mut text = String::new();
                entry.read_to_string(&mut text)?;
                return Ok(text);
            }
        }
        Err(io::Error::other("its control.tar has no file `control`"))
    })
}

/// Finishes an unpacked closure so that programs run in it: what the maintainer scripts of base-passwd and others
/// would have made, and the places where the sandbox mounts.
///
/// # Errors
/// When the folder cannot be written.
pub fn finish_root(root: &Path) -> io::Result<()> {
    for place in ["proc", "sys", "dev", "tmp", "run", "var/tmp", "kiln", "etc/alternatives"] {
        fs::create_dir_all(root.join(place))?;
    }
    for (file, master) in [("passwd", "passwd.master"), ("group", "group.master")] {
        let master = root.join("usr/share/base-passwd").join(master);
        if master.exists() {
            fs::copy(master, root.join("etc").join(file))?;
        }
    }
    // mke2fs looks for mounted file systems; awk and sh are links that update-alternatives would make.
    for (link, target, needs) in [
        ("etc/mtab", "../proc/self/mounts", "proc"),
        ("usr/bin/awk", "mawk", "usr/bin/mawk"),
        ("usr/bin/awk", "gawk", "usr/bin/gawk"),
    ] {
        if root.join(needs).exists() && fs::symlink_metadata(root.join(link)).is_err() {
            symlink(target, root.join(link))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
