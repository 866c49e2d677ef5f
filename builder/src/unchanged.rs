//! Whether a build has anything to do, by looks alone, as make and git judge: a file that changed differs in size, inode,
//! time of modification or of change. It remembers, beside the images, how everything looked that they were made of, and
//! how they did. It reads no file but that, and does not know what the others say.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::error::Result;
use crate::pipeline::{Settings, secret_path};
use crate::plan::{Plan, Request};
use crate::profile::Profile;
use crate::report;
use crate::repro::sha256_hex;
use crate::role::ROLES;
use crate::stage::image::{Image, private};
use crate::stage::source::RECIPES;

/// Where it remembers.
const FILE: &str = ".build.json";

/// How a file looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    /// # Errors
    /// When there is no such file.
    pub(crate) fn look(path: &Path) -> std::io::Result<Self> {
        fs::symlink_metadata(path).map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// How files look by their path: each itself, and what it leads to when it is a link. One that is not there may come.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Looks(BTreeMap<PathBuf, [Option<Seen>; 2]>);

impl Looks {
    /// Looks at what a request's plan is read from: the profile, the lockfile, the images and the recipes.
    pub(crate) fn before(request: &Request) -> Self {
        let mut looks = Self::default();
        looks.add(&Profile::path(&request.project, &request.profile));
        looks.add(&request.lockfile);
        for folder in [ROLES, RECIPES].map(|folder| request.project.join(folder)) {
            for entry in WalkDir::new(folder).follow_links(true) {
                // A link to nothing is an error with its path, as is a missing folder: a lock may compile nothing.
                match entry {
                    Ok(entry) => looks.add(entry.path()),
                    Err(error) => error.path().into_iter().for_each(|path| looks.add(path)),
                }
            }
        }
        looks
    }

    fn add(&mut self, path: &Path) {
        self.0.insert(path.to_owned(), look(path));
    }
}

/// How a file looks itself, and what it leads to.
fn look(path: &Path) -> [Option<Seen>; 2] {
    let seen = [fs::symlink_metadata(path), fs::metadata(path)];
    seen.map(|metadata| metadata.ok().as_ref().map(Seen::of))
}

/// What a finished build leaves for the next one.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    inputs: String,
    outputs: BTreeMap<PathBuf, [Option<Seen>; 2]>,
    images: Vec<Image>,
}

/// How everything looks that decides about a build: what its plan was read from, this program, the lock's files of this
/// machine, the secret, and what the caller asked for.
///
/// # Errors
/// When this program cannot be found.
pub fn inputs(plan: &Plan, settings: &Settings) -> Result<String> {
    let mut looks = plan.looks.clone();
    looks.add(&std::env::current_exe()?);
    plan.local_files().iter().for_each(|file| looks.add(&file.found()));
    // The first build makes the secret.
    let secret = settings.secret.clone();
    looks.add(&secret.unwrap_or_else(|| secret_path(&plan.project, &plan.cluster.name)));
    let asked = (plan.arch, &plan.cluster.release, settings.identity, &settings.store);
    Ok(sha256_hex(serde_json::to_vec(&(asked, looks)).map_err(std::io::Error::from)?))
}

/// The images in a folder, when nothing has changed since they were made.
#[must_use]
pub fn since(folder: &Path, inputs: &str) -> Option<Vec<Image>> {
    let memory: Memory = serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()?;
    let same = |(file, seen): (&PathBuf, &[Option<Seen>; 2])| look(&folder.join(file)) == *seen;
    (memory.inputs == inputs && memory.outputs.iter().all(same)).then_some(memory.images)
}

/// Remembers a finished build, with the images, the reports and the `seeds` in its folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn remember<'a>(
    folder: &Path,
    inputs: String,
    images: &[Image],
    seeds: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let made = images.iter().map(|image| PathBuf::from(&image.file));
    let seeds = seeds.map(|node| report::seed_path(node));
    let files = made.chain(report::FILES.map(PathBuf::from)).chain(seeds);
    let outputs = files.map(|file| (file.clone(), look(&folder.join(file)))).collect();
    let memory = Memory { inputs, outputs, images: images.to_vec() };
    Ok(private(&folder.join(FILE), &serde_json::to_vec(&memory).map_err(std::io::Error::from)?)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use fs_err as fs;

    use super::{Looks, remember, since};
    use crate::lock::format::Arch;
    use crate::plan::Request;
    use crate::report;
    use crate::stage::image::Image;

    #[test]
    fn whatever_looks_different_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let image = Image {
            role: "worker".to_owned(),
            file: "worker.qcow2".to_owned(),
            size: 1,
            sha256: "00".repeat(32).parse().unwrap(),
            content_sha256: "11".repeat(32).parse().unwrap(),
        };
        let seed = report::seed_path("node-0").display().to_string();
        fs::create_dir(at("seeds")).unwrap();
        let files = report::FILES.iter().copied().chain(["worker.qcow2", &seed]);
        let all = || {
            files.clone().for_each(|file| fs::write(at(file), "x").unwrap());
            let node = "node-0".to_owned();
            remember(folder.path(), "inputs".to_owned(), std::slice::from_ref(&image), [&node].into_iter())
                .unwrap();
        };
        assert!(since(folder.path(), "inputs").is_none(), "nothing was built");
        for file in files.clone() {
            all();
            let known = since(folder.path(), "inputs").unwrap();
            assert_eq!((known.len(), &known[0].sha256), (1, &image.sha256));
            assert!(since(folder.path(), "others").is_none());
            // As long as before: only its time tells.
            fs::write(at(file), "y").unwrap();
            assert!(since(folder.path(), "inputs").is_none(), "{file} was written");
            all();
            fs::remove_file(at(file)).unwrap();
            assert!(since(folder.path(), "inputs").is_none(), "{file} is gone");
        }
        all();
        fs::write(at(super::FILE), "{").unwrap();
        assert!(since(folder.path(), "inputs").is_none(), "a broken memory is none");
    }

    #[test]
    fn a_link_is_followed_and_may_lead_nowhere() {
        let (folder, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, site) = (folder.path().to_owned(), site.path());
        let request = Request {
            project: project.clone(),
            profile: "lab".to_owned(),
            release: None,
            arch: Arch::Amd64,
            lockfile: project.join("lockfile.toml"),
        };
        for folder in ["profiles", "images"] {
            fs::create_dir(project.join(folder)).unwrap();
        }
        let look = || serde_json::to_string(&Looks::before(&request)).unwrap();
        let mut seen = vec![look()];
        let mut changed = |what: &str| {
            let now = look();
            assert_ne!(seen.last(), Some(&now), "{what}");
            assert_eq!(now, look(), "{what}: nothing changed since");
            seen.push(now);
        };
        symlink(site.join("lab.toml"), project.join("profiles/lab.toml")).unwrap();
        changed("a link to a profile that is not there");
        fs::write(site.join("lab.toml"), "a").unwrap();
        changed("the profile came");
        fs::write(site.join("lab.toml"), "b").unwrap();
        changed("its text, as long as before");
        symlink(site.join("role"), project.join("images/role")).unwrap();
        changed("a link to a role that is not there");
        fs::create_dir(site.join("role")).unwrap();
        changed("the role came");
        fs::write(site.join("role/image.toml"), "").unwrap();
        changed("its recipe came");
        symlink("..", site.join("role/around")).unwrap();
        changed("a link in a circle");
    }
}
