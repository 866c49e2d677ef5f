//! The folders of a cluster that was built, and what of it is named on a command line.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::driver::error::DriverError;
use crate::ground::call::quote;
use crate::results::cluster::{self, ClusterJson, NodeJson};

/// Where the results of all profiles are when nobody says where.
pub const OUT: &str = "out";

/// The folder of everything that runs, below the results.
pub(super) const RUN: &str = "run";

/// The folders of one cluster.
#[derive(Debug)]
pub struct Folders {
    /// `<out>/<profile>`, absolute.
    pub(super) results: PathBuf,
    /// [`RUN`] in it.
    pub(super) run: PathBuf,
}

impl Folders {
    pub(super) fn of(results: &Path) -> Result<Self, DriverError> {
        let results = fs::canonicalize(results)?;
        Ok(Self { run: results.join(RUN), results })
    }

    /// What names the results on a command line.
    pub(super) fn arguments(&self) -> String {
        arguments(&self.results)
    }

    pub(super) fn node(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }

    /// Keeps a second `up` or `down` away as long as it lives.
    pub(super) fn guard(&self) -> Result<fs::File, DriverError> {
        let file = fs::File::create(self.run.join("up.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => Err(DriverError::Busy(self.run.clone())),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// Whether something was built or runs in a folder of results.
#[must_use]
pub fn is_there(results: &Path) -> bool {
    results.join(cluster::FILE).exists() || results.join(RUN).exists()
}

/// What names a folder of results on a command line.
pub(super) fn arguments(results: &Path) -> String {
    let profile = results.file_name().unwrap_or_default().to_string_lossy();
    words(&profile, results.parent().unwrap_or(Path::new(OUT)))
}

/// A profile and a folder on a command line: `--profile PROFILE`, with `--out DIR` when that is not the usual one.
#[must_use]
pub fn words(profile: &str, out: &Path) -> String {
    let profile = format!("--profile {}", quote(profile));
    let is_usual = out == Path::new(OUT) || fs::canonicalize(OUT).is_ok_and(|usual| usual == out);
    if is_usual { profile } else { format!("{profile} --out {}", quote(&out.to_string_lossy())) }
}

/// The node of that name, or all.
pub(super) fn select<'a>(
    cluster: &'a ClusterJson,
    name: Option<&str>,
) -> Result<Vec<&'a NodeJson>, DriverError> {
    let chosen: Vec<&NodeJson> =
        cluster.nodes.iter().filter(|node| name.is_none_or(|name| node.name == name)).collect();
    match name {
        Some(name) if chosen.is_empty() => Err(DriverError::NoSuchNode {
            cluster: cluster.name.clone(),
            name: name.to_owned(),
            nodes: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
        }),
        _ => Ok(chosen),
    }
}
