//! The files of a Debian source package laid out as dpkg-source does it, but for the patches. It runs on the host: names
//! of an archive and the links in it never lead out of the folder.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::archive::inner_path;
use crate::deb::resolve;
use crate::store::remove_tree;

/// What a tarball is to its package, in the order of unpacking.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// What upstream published, or all of a native package.
    Original,
    /// More of what upstream published, in a folder of this name.
    Component(String),
    /// `debian/`, in the place of an original's.
    Debian,
}

/// What decompresses a tarball.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Compression {
    Gzip,
    Xz,
}

/// Lays out the files of a package, by name and path, in the empty folder `into`. What is not at its place yet is in
/// `work`, on the same file system.
pub(super) fn lay_out<'a>(
    files: impl Iterator<Item = (&'a str, PathBuf)>,
    work: &Path,
    into: &Path,
) -> io::Result<()> {
    let mut tarballs = Vec::new();
    for (name, path) in files {
        tarballs.extend(part(name)?.map(|(part, compression)| (part, compression, path)));
    }
    tarballs.sort();
    for (part, compression, path) in tarballs {
        match part {
            Part::Original => fs::rename(apart(&path, &compression, work)?, into)?,
            Part::Component(name) => {
                let place = into.join(name);
                remove_tree(&place)?;
                fs::rename(apart(&path, &compression, work)?, place)?;
            }
            Part::Debian => {
                remove_tree(&into.join("debian"))?;
                unpack(&path, &compression, into)?;
            }
        }
    }
    Ok(())
}

/// What a file of a package is, by its name; nothing when it only describes or signs the others.
fn part(file: &str) -> io::Result<Option<(Part, Compression)>> {
    let name = file.rsplit('/').next().unwrap_or(file);
    if [".dsc", ".asc"].iter().any(|end| name.ends_with(end)) {
        return Ok(None);
    }
    let (stem, compression) = match name.rsplit_once(".tar.") {
        Some((stem, "gz")) => (stem, Compression::Gzip),
        Some((stem, "xz")) => (stem, Compression::Xz),
        _ => return Err(io::Error::other(format!("`{name}` is neither a .tar.gz nor a .tar.xz"))),
    };
    let part = match stem.rsplit('.').next().unwrap_or_default() {
        "debian" => Part::Debian,
        last => match last.strip_prefix("orig-") {
            Some(component) => Part::Component(component.to_owned()),
            None => Part::Original,
        },
    };
    Ok(Some((part, compression)))
}

/// Unpacks what upstream published in a folder of its own and returns its only folder, or all of it when there is more.
fn apart(tarball: &Path, compression: &Compression, work: &Path) -> io::Result<PathBuf> {
    let folder = work.join("unpacked");
    remove_tree(&folder)?;
    fs::create_dir(&folder)?;
    unpack(tarball, compression, &folder)?;
    let mut entries = fs::read_dir(&folder)?;
    match (entries.next().transpose()?, entries.next()) {
        (Some(only), None) if only.file_type()?.is_dir() => Ok(only.path()),
        _ => Ok(folder),
    }
}

/// Unpacks a tarball into a folder, with modes and times and without owners.
fn unpack(tarball: &Path, compression: &Compression, root: &Path) -> io::Result<()> {
    let file = io::BufReader::new(fs::File::open(tarball)?);
    let data: Box<dyn Read> = match compression {
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(file)),
    };
    let mut archive = tar::Archive::new(data);
    archive.set_preserve_mtime(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let inner = inner_path(&entry.path()?)?;
        if inner.as_os_str().is_empty() || kind.is_pax_global_extensions() {
            continue;
        }
        let target = resolve(root, &inner)?;
        target.parent().map_or(Ok(()), fs::create_dir_all)?;
        // As tar does it: a link in the place of an entry goes, it is not followed.
        if fs::symlink_metadata(&target).is_ok_and(|there| !there.is_dir()) {
            fs::remove_file(&target)?;
        }
        if kind.is_hard_link() {
            let link = entry.link_name()?.ok_or_else(|| io::Error::other("a link without target"))?;
            fs::hard_link(resolve(root, &inner_path(&link)?)?, &target)?;
        } else {
            entry.unpack(&target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
