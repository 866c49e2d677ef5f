//! The lockfile's format, version 1.
//!
//! Goals: complete (a build reads nothing else from outside), readable, one line per package so that a diff is one
//! line per change, sorted and byte-stable, verifiable without a network. What a person writes (`request`, releases,
//! recipes) and what `builder lock update` fills in (packages, hashes, timestamps) stand side by side; the update
//! keeps comments. What it fills in may be absent before the first update, and only then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::component::{Chosen, Component, Download, Unpack};
pub use super::hash::{Hash, Sha256Hex, Sha512Hex};

/// The format version that this program reads and writes.
pub const VERSION: u32 = 1;

/// A whole lockfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Format version.
    pub version: u32,
    /// The one timestamp in every output, seconds since 1970: the newest `Date` of the suites' Release files.
    #[serde(default)]
    pub epoch: i64,
    /// The release used when neither the profile nor `--release` names one.
    pub default_release: String,
    /// Expected bytes of the firstboot binary, per architecture: the update's builder carries it.
    #[serde(default)]
    pub firstboot: BTreeMap<Arch, Sha256Hex>,
    /// Suites of the Debian archive, by name.
    pub suite: BTreeMap<String, Suite>,
    /// Sets of packages, by name: `base` (root file system), `tools`, `qemu`, one for each build.
    pub root: BTreeMap<String, Root>,
    /// Source packages, by name.
    #[serde(default)]
    pub source: BTreeMap<String, Source>,
    /// Source builds, by name.
    #[serde(default)]
    pub build: BTreeMap<String, Build>,
    /// Component versions that go together, by name.
    pub release: BTreeMap<String, Release>,
    /// Every binary package by suite, sorted by architecture and name, one inline table on a line each.
    #[serde(default)]
    pub deb: BTreeMap<String, Vec<Deb>>,
}

/// A suite of the Debian archive. No host name: mirrors are configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// Which archive: `debian` or `debian-security`.
    pub archive: String,
    /// When a snapshot mirror has it as it was resolved: `20261121T000000Z`.
    #[serde(default)]
    pub snapshot: String,
}

/// A set of binary packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Root {
    /// The suite that it is resolved in.
    pub suite: String,
    /// What was asked for; the rest of its packages follow by dependency. Of `base` and `components` the update
    /// writes it: the packages of images/base/image.toml, and those that the releases' components name.
    #[serde(default)]
    pub request: Vec<String>,
    /// With what it depends on, and with what every Debian system has (`essential`); or just what was asked for (`none`).
    pub closure: Closure,
}

/// How a root's package list follows from its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closure {
    /// The request alone.
    None,
    /// The request and its dependencies.
    Depends,
    /// Also every package marked `Essential: yes` or of priority `required`, and apt: a system that boots.
    System,
}

/// One binary package of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deb {
    /// Package name.
    pub name: String,
    /// Version, as dpkg writes it.
    pub version: String,
    /// Architecture of the machine that it is installed on (packages of `all` stand once for each).
    pub arch: Arch,
    /// The roots that it belongs to.
    pub roots: BTreeSet<String>,
    /// File name below the archive's root: `pool/main/…`.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Content.
    pub sha256: Sha256Hex,
}

/// A source package of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Version, as dpkg writes it.
    #[serde(default)]
    pub version: String,
    /// Its suite.
    pub suite: String,
    /// The .dsc and the files that it names.
    #[serde(default)]
    pub files: Vec<SourceFile>,
}

/// A file of a source package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceFile {
    /// File name below the archive's root.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Content.
    pub sha256: Sha256Hex,
}

/// A build from source in the sandbox: `recipes/<recipe>/build.sh` with the unpacked source at /kiln/src.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Build {
    /// Name of a [`Source`].
    pub source: String,
    /// Folder below `recipes/`.
    pub recipe: String,
    /// Name of the [`Root`] that it runs in.
    pub root: String,
    /// Environment of the recipe.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The files it must make, with their expected content, per architecture.
    pub output: BTreeMap<Arch, BTreeMap<String, Sha256Hex>>,
}

/// Component versions that go together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// Version of Kubernetes, `1.20.2`.
    pub kubernetes: String,
    /// Version of containerd.
    pub containerd: String,
    /// The last day of upstream's support, `2022-02-28`.
    pub end_of_life: String,
    /// Where each component's files come from.
    pub component: BTreeMap<String, Component>,
    /// Container images that are made of a component's file and imported at boot.
    #[serde(default)]
    pub image: BTreeMap<String, ContainerImage>,
}

/// A container image with one program in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContainerImage {
    /// The name that pods use.
    pub reference: String,
    /// The program: `component:file`.
    pub program: String,
    /// Where it lies in the image.
    pub path: String,
    /// Names that link to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Command line.
    pub entrypoint: Vec<String>,
}

/// A Debian architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

impl Lock {
    /// The bytes of every download whose size it knows.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let debs = self.deb.values().flatten().map(|deb| deb.size);
        let sources = self.source.values().flat_map(|source| &source.files).map(|file| file.size);
        let components = self.release.values().flat_map(|release| release.component.values());
        let downloads = components.flat_map(|component| match component {
            Component::Url(downloads) => downloads.as_slice(),
            _ => &[],
        });
        debs.chain(sources).chain(downloads.flat_map(|download| download.size.values().copied())).sum()
    }

    /// The packages of a root for an architecture, in the lock's order.
    pub fn packages<'a>(&'a self, root: &'a str, arch: Arch) -> impl Iterator<Item = &'a Deb> {
        self.deb.values().flatten().filter(move |deb| deb.arch == arch && deb.roots.contains(root))
    }
}
