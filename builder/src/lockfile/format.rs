//! The lockfile's format, version 1.
//!
//! Goals: complete (a build reads nothing else from outside), readable, one line per package so that a diff is one
//! line per change, sorted and byte-stable, verifiable without a network. What a person writes (`request`, releases,
//! recipes) and what `builder lock update` fills in (packages, hashes, timestamps) stand side by side; the update
//! keeps comments. What it fills in may be absent before the first update, and only then.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;
pub use crate::ground::hash::{Digest, Hash, Sha256Hex, Sha512Hex};
pub use crate::lockfile::build::{Build, From as BuildFrom};
use crate::lockfile::component::with_arch;
pub use crate::lockfile::component::{Chosen, Component, Download, Unpack};
pub use crate::lockfile::container::{ContainerImage, Content, Made, Program};
use crate::lockfile::go::Modules;
pub use crate::lockfile::go::{Go, Module, ModuleSum};

/// The format version that this program reads and writes.
pub const VERSION: u32 = 1;

/// A whole lockfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// `1`, the version of this format.
    pub version: u32,
    /// The one time stamp in every output, in seconds since 1970: the newest `Date` of the suites' Release files.
    /// Written by the update.
    #[serde(default)]
    pub epoch: i64,
    /// The release when neither the profile nor `--release` names one.
    pub default_release: String,
    /// SHA-256 of the firstboot binary, per architecture; a builder that carries another one refuses to build. Written
    /// by the update.
    #[serde(default)]
    pub firstboot: BTreeMap<Arch, Sha256Hex>,
    /// Suites of the Debian archive, by name.
    pub suite: BTreeMap<String, Suite>,
    /// Sets of packages, by name.
    pub root: BTreeMap<String, Root>,
    /// Source packages, by name.
    #[serde(default)]
    pub source: BTreeMap<String, Source>,
    /// Builds from source, by name.
    #[serde(default)]
    pub build: BTreeMap<String, Build>,
    /// Component versions that go together, by name.
    pub release: BTreeMap<String, Release>,
    /// Every binary package, by suite, one a line. Written by the update.
    #[serde(default)]
    pub deb: BTreeMap<String, Vec<Deb>>,
    /// The Go modules of all builds.
    #[serde(default)]
    pub go: Modules,
}

/// A suite of the Debian archive. No host name: mirrors are configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// Which archive: `debian` or `debian-security`.
    pub archive: String,
    /// When it was resolved, as snapshot mirrors write it: `20261121T000000Z`. Written by the update.
    #[serde(default)]
    pub snapshot: String,
}

/// A set of binary packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Root {
    /// The suite that it is resolved in.
    pub suite: String,
    /// The packages that are asked for; `{arch}` in a name stands for the architecture. The update writes that of
    /// `components` (from the releases) and those of recipes (`base`, and `base-NAME` for `images/NAME/image.toml`).
    /// These roots come and go with their recipes' packages.
    #[serde(default)]
    pub request: Vec<String>,
    /// The architectures that it has packages of; when absent that of the machines that build, where its programs run.
    #[serde(default = "host_only")]
    pub architectures: BTreeSet<Arch>,
    /// Which packages it has.
    pub closure: Closure,
}

fn host_only() -> BTreeSet<Arch> {
    BTreeSet::from([Arch::HOST])
}

impl Root {
    /// What is asked for, for an architecture.
    #[must_use]
    pub fn request_for(&self, arch: Arch) -> Vec<String> {
        self.request.iter().map(|package| with_arch(package, arch)).collect()
    }
}

/// How a root's package list follows from its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Version, as dpkg writes it. Written by the update.
    #[serde(default)]
    pub version: String,
    /// Its suite.
    pub suite: String,
    /// The .dsc and the files that it names. Written by the update.
    #[serde(default)]
    pub files: Vec<SourceFile>,
}

/// A file of a source package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceFile {
    /// File name below the archive's root.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Content.
    pub sha256: Sha256Hex,
}

/// Component versions that go together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// Version of Kubernetes: `1.20.2`.
    pub kubernetes: String,
    /// Version of containerd.
    pub containerd: String,
    /// The last day of upstream's support: `2022-02-28`.
    pub end_of_life: String,
    /// Whether nobody has built and booted it yet: `build` says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
    /// Where each component's files come from, by the name that recipes use.
    pub component: BTreeMap<String, Component>,
    /// Container images that machines import at boot, where a role installs them.
    #[serde(default)]
    pub image: BTreeMap<String, ContainerImage>,
}

impl Release {
    /// The same without the container images that are not for an architecture.
    #[must_use]
    pub fn for_arch(&self, arch: Arch) -> Self {
        let mut release = self.clone();
        release.image.retain(|_, image| image.is_for(arch));
        release
    }

    /// The wanted components, and those that container images which are installed are made of.
    pub fn used(
        &self,
        wanted: &BTreeSet<String>,
        has_image: impl Fn(&str) -> bool,
    ) -> BTreeMap<&String, &Component> {
        let images = self.image.iter().filter(|(name, _)| has_image(name));
        let of_images: BTreeSet<&str> = images.flat_map(|(_, image)| image.components()).collect();
        let is_used = |name: &String| wanted.contains(name) || of_images.contains(name.as_str());
        self.component.iter().filter(|(name, _)| is_used(name)).collect()
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

    /// The architectures that images are for: those of all the roots.
    #[must_use]
    pub fn architectures(&self) -> BTreeSet<Arch> {
        self.root.values().flat_map(|root| &root.architectures).copied().collect()
    }

    /// The Go modules that a build reads, in the lock's order.
    pub fn modules<'a>(&'a self, build: &'a str) -> impl Iterator<Item = &'a Module> {
        self.go.modules.iter().filter(move |module| module.builds.contains(build))
    }

    /// The packages of a root for an architecture, in the lock's order.
    pub fn packages<'a>(&'a self, root: &'a str, arch: Arch) -> impl Iterator<Item = &'a Deb> {
        self.deb.values().flatten().filter(move |deb| deb.arch == arch && deb.roots.contains(root))
    }

    /// The packages of several roots for an architecture, each once, in the lock's order.
    pub fn packages_of<'a>(
        &'a self,
        roots: &'a BTreeSet<String>,
        arch: Arch,
    ) -> impl Iterator<Item = &'a Deb> {
        self.deb.values().flatten().filter(move |deb| deb.arch == arch && !deb.roots.is_disjoint(roots))
    }

    /// The names of the files that a component has for an architecture; none where only a download tells.
    #[must_use]
    pub fn names<'a>(&'a self, component: &'a Component, arch: Arch) -> Option<BTreeSet<&'a str>> {
        match component {
            // What is not expected of a source build is not compiled for in vain.
            Component::Build { build } => {
                Some(self.build.get(build).map(|build| build.names(arch)).unwrap_or_default())
            }
            component => component.names(arch),
        }
    }
}
