//! Where the results of a profile's builds lie. Each build makes a whole set of files; one link says which set holds, so
//! that whoever looks sees all of an old set or all of a new one, also after a power cut. Images lie beside the sets by
//! their content, as long as the set or some machine's disk needs them.
//!
//! ```text
//! out/PROFILE/set -> sets/9c1d…           which set holds
//! out/PROFILE/sets/9c1d…/cluster.json …   one build's files; its images are links
//! out/PROFILE/images/SHA256.qcow2
//! out/PROFILE/cluster.json -> set/cluster.json, one link for each file of the set
//! ```
//!
//! It does not know what the files say, and nothing of what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use tempfile::TempDir;
use walkdir::WalkDir;

use crate::disk::{self, Format};
use crate::ground::hash::Sha256Hex;
use crate::ground::repro::sha256_hex;

/// The link to the set that holds.
const SET: &str = "set";

/// The folder of sets.
const SETS: &str = "sets";

/// The folder of images.
const IMAGES: &str = "images";

/// How the folders begin in which something is made.
const FRESH: &str = ".new-";

/// Where an image of some content lies, below the folder of results.
#[must_use]
pub fn image_path(sha256: &Sha256Hex, format: Format) -> PathBuf {
    Path::new(IMAGES).join(format!("{sha256}.{format}"))
}

/// A set that is being made. Dropped, it was never there.
#[derive(Debug)]
pub struct FreshSet {
    results: PathBuf,
    folder: TempDir,
}

impl FreshSet {
    /// Begins a set in a folder of results, which nobody else writes meanwhile; what a killed build left goes.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(results: &Path) -> io::Result<Self> {
        for entry in fs::read_dir(results)? {
            let path = entry?.path();
            // A killed build's images hold keys as finished ones do.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FRESH)) {
                fs::remove_dir_all(path)?;
            }
        }
        fs::create_dir_all(results.join(IMAGES))?;
        fs::create_dir_all(results.join(SETS))?;
        let folder = tempfile::Builder::new().prefix(FRESH).tempdir_in(results)?;
        fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { results: results.to_owned(), folder })
    }

    /// The folder of results.
    #[must_use]
    pub fn results(&self) -> &Path {
        &self.results
    }

    /// The folder that the set's files are written to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the set an image of some content, under a name. `made` is the file when it is a new one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn image(
        &self,
        name: &str,
        (sha256, format): (&Sha256Hex, Format),
        made: Option<&Path>,
    ) -> io::Result<()> {
        let path = image_path(sha256, format);
        if let Some(made) = made {
            fs::File::open(made)?.sync_all()?;
            fs::rename(made, self.results.join(&path))?;
        }
        symlink(Path::new("../..").join(path), self.folder().join(name))
    }

    /// From now on this set holds. Images that neither it nor a disk needs go.
    ///
    /// # Errors
    /// When the folder cannot be written; whatever set held then still does.
    pub fn publish(self) -> io::Result<()> {
        let Self { results, folder } = self;
        let (names, id) = contents(folder.path())?;
        let place = Path::new(SETS).join(&id);
        let holds = fs::read_link(results.join(SET)).is_ok_and(|set| set == place);
        if !holds {
            // Of an older set that a killed build began to remove, nobody knows what is left.
            crate::store::remove_tree(&results.join(&place))?;
            sync(&results.join(IMAGES))?;
            fs::rename(folder.keep(), results.join(&place))?;
            sync(&results.join(SETS))?;
        }
        for name in &names {
            link(&results, name, &Path::new(SET).join(name))?;
        }
        sync(&results)?;
        link(&results, SET, &place)?;
        sync(&results)?;
        clean(&results, &names, &id)
    }
}

/// The names in a set's folder, and the set's own name: a hash of everything in it. All of it is on the disk afterwards.
fn contents(folder: &Path) -> io::Result<(BTreeSet<String>, String)> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(folder).min_depth(1).contents_first(true) {
        let entry = entry?;
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
        if entry.path_is_symlink() {
            files.insert(name, fs::read_link(entry.path())?.to_string_lossy().into_owned());
        } else if entry.file_type().is_dir() {
            sync(entry.path())?;
        } else {
            files.insert(name, sha256_hex(fs::read(entry.path())?));
            sync(entry.path())?;
        }
    }
    sync(folder)?;
    let names = files.keys().filter_map(|name| name.split('/').next()).map(str::to_owned).collect();
    let id = sha256_hex(serde_json::to_vec(&files)?);
    Ok((names, id.get(..16).unwrap_or(&id).to_owned()))
}

/// Makes a link, in one step, in the place of whatever is there.
fn link(results: &Path, name: &str, target: &Path) -> io::Result<()> {
    let path = results.join(name);
    if fs::read_link(&path).is_ok_and(|there| there == target) {
        return Ok(());
    }
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(&path)?;
    }
    let fresh = tempfile::Builder::new().prefix(FRESH).tempdir_in(results)?;
    let unfinished = fresh.path().join(SET);
    symlink(target, &unfinished)?;
    fs::rename(unfinished, path)
}

/// Removes older sets, links to what the set has not, and images that nothing needs.
fn clean(results: &Path, names: &BTreeSet<String>, id: &str) -> io::Result<()> {
    for entry in fs::read_dir(results)? {
        let path = entry?.path();
        let leads_to_a_set = fs::read_link(&path).is_ok_and(|target| target.starts_with(SET));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if leads_to_a_set && !names.contains(&*name) {
            fs::remove_file(&path)?;
        }
    }
    for entry in fs::read_dir(results.join(SETS))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name != id) {
            fs::remove_dir_all(path)?;
        }
    }
    remove_unneeded(results)
}

/// Removes the images that neither the set nor a disk of a machine needs. Where a disk is broken, all of them stay: nobody
/// knows what it needs.
///
/// # Errors
/// When something cannot be read or removed.
pub fn remove_unneeded(results: &Path) -> io::Result<()> {
    let images = results.join(IMAGES);
    if !images.exists() {
        return Ok(());
    }
    let mut needed = BTreeSet::new();
    let is_image = |path: &Path| path.starts_with(&images);
    for entry in WalkDir::new(results).into_iter().filter_entry(|entry| !is_image(entry.path())) {
        let entry = match entry {
            Ok(entry) => entry,
            // A machine's socket was there when its folder was read.
            Err(error) if error.io_error().is_some_and(|it| it.kind() == io::ErrorKind::NotFound) => continue,
            Err(error) => return Err(error.into()),
        };
        let path = entry.path();
        let below = match entry.path_is_symlink() {
            true => Some(fs::read_link(path)?),
            false if path.extension().is_some_and(|it| it == "qcow2") => match disk::backing_file(path) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(()),
                below => below?,
            },
            false => None,
        };
        needed.extend(below.and_then(|below| below.file_name().map(ToOwned::to_owned)));
    }
    for entry in fs::read_dir(images)? {
        let entry = entry?;
        if !needed.contains(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What was written to a file, or which names a folder has, survives a power cut.
fn sync(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
