//! Whether a build has anything to do, by looks alone, as make and git judge: a file that changed differs in size, inode,
//! time of modification or of change. It remembers, beside the images, how everything looked that they were made of, and
//! how they did. It reads no file but that, and does not know what the others say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::disk::Encoding;
use crate::ground::durable::private;
use crate::ground::error::Result;
use crate::ground::repro::sha256_hex;
use crate::ground::stat::{Both, both};
use crate::plan::Plan;
use crate::profile::Identity;
use crate::results::image::Image;
use crate::results::report;

/// Where it remembers.
const FILE: &str = ".build.json";

/// What a finished build leaves for the next one.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    inputs: String,
    outputs: BTreeMap<PathBuf, Both>,
    images: Vec<Image>,
}

/// How everything looks that decides about a build: what its plan was read from, this program, the lock's files of this
/// machine, the secret, and what the caller asked for.
///
/// # Errors
/// When this program cannot be found.
pub fn inputs(
    plan: &Plan,
    (identity, encoding): (Identity, Encoding),
    store: &Path,
    secret: &Path,
) -> Result<String> {
    let mut stats = plan.stats.clone();
    stats.add(&std::env::current_exe()?);
    plan.local_files().iter().for_each(|file| stats.add(&file.found()));
    // The first build makes the secret.
    stats.add(secret);
    let asked = (plan.arch, &plan.cluster.release, identity, encoding, store);
    Ok(sha256_hex(serde_json::to_vec(&(asked, stats)).map_err(std::io::Error::from)?))
}

/// The images in a folder, when nothing has changed since they were made.
#[must_use]
pub fn since(folder: &Path, inputs: &str) -> Option<Vec<Image>> {
    let memory: Memory = serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()?;
    let same = |(file, seen): (&PathBuf, &Both)| both(&folder.join(file)) == *seen;
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
    let bills = images.iter().flat_map(|image| report::sbom_files(&image.role)).map(PathBuf::from);
    let made = images.iter().map(|image| PathBuf::from(&image.file)).chain(bills);
    let seeds = seeds.map(|node| report::seed_path(node));
    let files = made.chain(report::FILES.map(PathBuf::from)).chain(seeds);
    let outputs = files.map(|file| (file.clone(), both(&folder.join(file)))).collect();
    let memory = Memory { inputs, outputs, images: images.to_vec() };
    Ok(private(&folder.join(FILE), &serde_json::to_vec(&memory).map_err(std::io::Error::from)?)?)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{remember, since};
    use crate::disk::Format;
    use crate::results::image::Image;
    use crate::results::report;

    #[test]
    fn whatever_looks_different_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let image = Image {
            role: "worker".to_owned(),
            file: "worker.qcow2".to_owned(),
            format: Format::Qcow2,
            size: 1,
            sha256: "00".repeat(32).parse().unwrap(),
            content_sha256: "11".repeat(32).parse().unwrap(),
        };
        let seed = report::seed_path("node-0").display().to_string();
        fs::create_dir(at("seeds")).unwrap();
        let bills = report::sbom_files("worker");
        let files = report::FILES.iter().copied().chain(bills.iter().map(String::as_str));
        let files = files.chain(["worker.qcow2", &seed]);
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
}
