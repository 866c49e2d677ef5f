//! The container images of a release, as the lockfile writes them: made of a program, of packages or of both, or taken
//! from a registry by digest.
//!
//! It owns the format and which keys go together; whether names lead somewhere is `consistent`'s concern.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;
use crate::ground::hash::Digest;

/// A container image that machines import at boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "WrittenImage", into = "WrittenImage")]
pub struct ContainerImage {
    /// The name that pods use: `registry/repository:tag`.
    pub reference: String,
    /// What is in it.
    pub content: Content,
}

/// What is in a container image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Packages, a program or both.
    Made(Made),
    /// What the reference's registry has: the digest of an index or of a manifest, per architecture.
    Registry(BTreeMap<Arch, Digest>),
}

/// A container image that is made here. It has a root, a program or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The root of the lock whose packages lie in it, unpacked.
    pub root: Option<String>,
    /// The program, above them.
    pub program: Option<Program>,
    /// Command line.
    pub entrypoint: Vec<String>,
}

/// One program in a container image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program: `component:file`.
    pub program: String,
    /// Where it lies in the image.
    pub path: String,
    /// Names that link to it.
    pub links: Vec<String>,
    /// Further files beside it, which everybody may read and execute: path in the image → `component:file`.
    pub files: BTreeMap<String, String>,
}

impl Program {
    /// The program and the files beside it: path in the image, `component:file`.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(path, file)| (path.as_str(), file.as_str()));
        files.chain([(self.path.as_str(), self.program.as_str())])
    }
}

impl ContainerImage {
    /// Whether there is one for an architecture.
    #[must_use]
    pub fn is_for(&self, arch: Arch) -> bool {
        match &self.content {
            Content::Made(_) => true,
            Content::Registry(digest) => digest.contains_key(&arch),
        }
    }

    /// The components that it is made of.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        let program = match &self.content {
            Content::Made(made) => made.program.as_ref(),
            Content::Registry(_) => None,
        };
        let files = program.into_iter().flat_map(Program::all);
        files.filter_map(|(_, file)| Some(file.split_once(':')?.0))
    }

    /// The root whose packages lie in it, if any.
    #[must_use]
    pub fn root(&self) -> Option<&str> {
        match &self.content {
            Content::Made(made) => made.root.as_deref(),
            Content::Registry(_) => None,
        }
    }
}

/// A container image as it stands in the file: every key of both kinds. The order is part of the keys of steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct WrittenImage {
    /// The name that pods use. With `digest` also where it is fetched: `registry/repository:tag`, written out.
    reference: String,
    /// The root of the lock whose packages lie, unpacked, in an image that is made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// The program of an image that is made here: `component:file`. It lies above what the packages have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    /// Where the program lies in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Names that link to the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<String>,
    /// Further files beside the program: path in the image → `component:file`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
    /// The command line of an image that is made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<String>>,
    /// What the registry has, per architecture: the digest of an index or of a manifest, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<BTreeMap<Arch, Digest>>,
}

impl TryFrom<WrittenImage> for ContainerImage {
    type Error = String;

    fn try_from(written: WrittenImage) -> Result<Self, String> {
        let WrittenImage { reference, root, program, path, links, files, entrypoint, digest } = written;
        if let Some(digest) = digest {
            let others = [
                ("root", root.is_some()),
                ("program", program.is_some()),
                ("path", path.is_some()),
                ("links", !links.is_empty()),
                ("files", !files.is_empty()),
                ("entrypoint", entrypoint.is_some()),
            ];
            return match others.iter().find(|(_, there)| *there) {
                Some((key, _)) => Err(format!("a container image with `digest` has no `{key}`")),
                None => Ok(Self { reference, content: Content::Registry(digest) }),
            };
        }
        let program = match (program, path) {
            (Some(program), Some(path)) => Some(Program { program, path, links, files }),
            (Some(_), None) => return Err("a container image with `program` needs `path`".to_owned()),
            (None, None) if links.is_empty() && files.is_empty() => None,
            (None, _) => {
                return Err("a container image with `path`, `links` or `files` needs `program`".to_owned());
            }
        };
        if root.is_none() && program.is_none() {
            return Err("a container image has `root`, `program` or both, or it has `digest`".to_owned());
        }
        let entrypoint = entrypoint.ok_or("a container image that is made here needs `entrypoint`")?;
        Ok(Self { reference, content: Content::Made(Made { root, program, entrypoint }) })
    }
}

impl From<ContainerImage> for WrittenImage {
    fn from(ContainerImage { reference, content }: ContainerImage) -> Self {
        let mut written = Self {
            reference,
            root: None,
            program: None,
            path: None,
            links: Vec::new(),
            files: BTreeMap::new(),
            entrypoint: None,
            digest: None,
        };
        match content {
            Content::Made(Made { root, program, entrypoint }) => {
                (written.root, written.entrypoint) = (root, Some(entrypoint));
                if let Some(Program { program, path, links, files }) = program {
                    (written.program, written.path) = (Some(program), Some(path));
                    (written.links, written.files) = (links, files);
                }
            }
            Content::Registry(digest) => written.digest = Some(digest),
        }
        written
    }
}
