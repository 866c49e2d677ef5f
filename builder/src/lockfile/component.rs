//! Where a component's files come from, as a release of the lockfile says it: a source build, a Debian package, files
//! that upstream publishes, files of this machine.
//!
//! It owns the format and which keys go together; whether names lead somewhere is `consistent`'s concern.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;
use crate::ground::hash::{Hash, Sha256Hex, Sha512Hex};

/// Stands for the architecture in addresses, paths and names within archives.
const ARCH: &str = "{arch}";

/// Stands for the architecture where Debian's libraries lie.
const MULTIARCH: &str = "{multiarch}";

/// Where a component's files come from; image recipes refer to them by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Written", into = "Written")]
pub enum Component {
    /// A source build; its files are the build's outputs.
    Build {
        /// Name of a [`Build`](super::format::Build).
        build: String,
    },
    /// A binary package that is taken apart.
    Deb {
        /// Package name; it stands in `deb` with root `components`.
        deb: String,
        /// Which of its files.
        chosen: Chosen,
    },
    /// Files that somebody publishes.
    Url(Vec<Download>),
    /// Files of this machine.
    Path {
        /// A folder, or one file; relative to the lockfile's folder, or absolute. `{arch}` stands for the architecture.
        path: String,
        /// File name → content, per architecture.
        sha256: BTreeMap<Arch, BTreeMap<String, Sha256Hex>>,
    },
}

/// Files of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// File name in the recipe → path in the archive.
    pub files: BTreeMap<String, String>,
    /// Every file of this folder, under its own name.
    pub folder: Option<String>,
}

/// A file that somebody publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// Where it may be had, in the order in which they are asked: `http://`, `https://` or `file:///`. `{arch}` stands for
    /// the architecture, here and in the paths below.
    pub urls: Vec<String>,
    /// SHA-256, per architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<Arch, Sha256Hex>,
    /// SHA-512, for architectures without a `sha256`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sha512: BTreeMap<Arch, Sha512Hex>,
    /// Bytes, per architecture, where they are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub size: BTreeMap<Arch, u64>,
    /// What is done with it; `none` when absent.
    #[serde(default)]
    pub unpack: Unpack,
    /// The name in recipes of a file that is not unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// File name in recipes → path in the archive.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Every file of this folder of the archive, under its own name; `.` is the archive's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// What is done with a download.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Unpack {
    /// It is the file.
    #[default]
    #[serde(rename = "none")]
    None,
    /// It is a tar archive, compressed with gzip; also written `tgz`.
    #[serde(rename = "tar.gz", alias = "tgz")]
    TarGz,
}

impl Component {
    /// The names of the files that its own table gives it for an architecture; `Lock::names` knows source builds too.
    pub(super) fn names(&self, arch: Arch) -> Option<BTreeSet<&str>> {
        match self {
            Self::Build { .. } => None,
            Self::Deb { chosen, .. } => chosen.folder.is_none().then(|| keys(&chosen.files)),
            Self::Url(downloads) => {
                let here = || downloads.iter().filter(|download| download.hash(arch).is_some());
                let open = here().any(|download| download.folder.is_some());
                let names = here()
                    .flat_map(|download| keys(&download.files).into_iter().chain(download.file.as_deref()));
                (!open).then(|| names.collect())
            }
            Self::Path { sha256, .. } => Some(sha256.get(&arch).map(keys).unwrap_or_default()),
        }
    }
}

impl Component {
    /// The names that it has for some architecture, as far as the lock alone tells.
    #[must_use]
    pub fn all_names(&self) -> Option<BTreeSet<&str>> {
        let mut names = BTreeSet::new();
        for arch in [Arch::Amd64, Arch::Arm64] {
            names.extend(self.names(arch)?);
        }
        Some(names)
    }
}

impl Download {
    /// What it must be for an architecture; nothing when it has no file for it.
    #[must_use]
    pub fn hash(&self, arch: Arch) -> Option<Hash> {
        let sha512 = || self.sha512.get(&arch).cloned().map(Hash::Sha512);
        self.sha256.get(&arch).cloned().map(Hash::Sha256).or_else(sha512)
    }

    /// Its addresses for an architecture.
    #[must_use]
    pub fn addresses(&self, arch: Arch) -> Vec<String> {
        self.urls.iter().map(|url| with_arch(url, arch)).collect()
    }

    /// Which files of its archive, for an architecture.
    #[must_use]
    pub fn chosen(&self, arch: Arch) -> Chosen {
        Chosen { files: self.files.clone(), folder: self.folder.clone() }.for_arch(arch)
    }
}

impl Chosen {
    /// The same files with the architecture in their paths.
    #[must_use]
    pub fn for_arch(&self, arch: Arch) -> Self {
        let files = self.files.iter().map(|(name, path)| (name.clone(), with_arch(path, arch)));
        Self { files: files.collect(), folder: self.folder.as_ref().map(|folder| with_arch(folder, arch)) }
    }
}

/// A text of the lock with the architecture in it.
#[must_use]
pub fn with_arch(text: &str, arch: Arch) -> String {
    text.replace(ARCH, &arch.to_string()).replace(MULTIARCH, arch.multiarch())
}

fn keys<T>(map: &BTreeMap<String, T>) -> BTreeSet<&str> {
    map.keys().map(String::as_str).collect()
}

/// A component as it stands in the file: every key of every kind.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Written {
    /// A source build; its outputs are the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<String>,
    /// A package of the root `components`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deb: Option<String>,
    /// A folder of this machine, relative to the lockfile's folder or absolute; for a single file, the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// With `deb`: every file of this folder, under its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    /// With `deb`: file name in recipes → path in the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<BTreeMap<String, String>>,
    /// With `path`: the SHA-256 of every file, by name, per architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<BTreeMap<Arch, BTreeMap<String, Sha256Hex>>>,
    /// Downloads, a table each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Vec<Download>>,
}

impl TryFrom<Written> for Component {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { build, deb, path, folder, files, sha256, url } = written;
        let of_others = |kind: &str, others: &[(&str, bool)]| match others.iter().find(|(_, there)| *there) {
            Some((key, _)) => Err(format!("a component with `{kind}` has no `{key}`")),
            None => Ok(()),
        };
        let (for_deb, for_path) =
            ([("files", files.is_some()), ("folder", folder.is_some())], ("sha256", sha256.is_some()));
        match (build, deb, url, path) {
            (Some(build), None, None, None) => {
                of_others("build", &[for_deb[0], for_deb[1], for_path])?;
                Ok(Self::Build { build })
            }
            (None, Some(deb), None, None) => {
                of_others("deb", &[for_path])?;
                Ok(Self::Deb { deb, chosen: Chosen { files: files.unwrap_or_default(), folder } })
            }
            (None, None, Some(downloads), None) => {
                of_others("url", &[for_deb[0], for_deb[1], for_path])?;
                Ok(Self::Url(downloads))
            }
            (None, None, None, Some(path)) => {
                of_others("path", &for_deb)?;
                let sha256 =
                    sha256.ok_or("a component with `path` needs `sha256`, the content of each file")?;
                Ok(Self::Path { path, sha256 })
            }
            _ => Err("a component has one of `build`, `deb`, `url` and `path`".to_owned()),
        }
    }
}

impl From<Component> for Written {
    fn from(component: Component) -> Self {
        let empty = Self::default();
        match component {
            Component::Build { build } => Self { build: Some(build), ..empty },
            Component::Deb { deb, chosen: Chosen { files, folder } } => {
                Self { deb: Some(deb), files: (!files.is_empty()).then_some(files), folder, ..empty }
            }
            Component::Url(downloads) => Self { url: Some(downloads), ..empty },
            Component::Path { path, sha256 } => Self { path: Some(path), sha256: Some(sha256), ..empty },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arch, with_arch};

    #[test]
    fn paths_are_those_of_the_architecture() {
        let path = "opt/{arch}/usr/lib/{multiarch}/libx.so.1";
        assert_eq!(with_arch(path, Arch::Amd64), "opt/amd64/usr/lib/x86_64-linux-gnu/libx.so.1");
        assert_eq!(with_arch(path, Arch::Arm64), "opt/arm64/usr/lib/aarch64-linux-gnu/libx.so.1");
    }
}
