//! The container images of a release, as the lockfile writes them: made of one program, or taken from a registry by
//! digest.
//!
//! It owns the format and which keys go together; whether names lead somewhere is `consistent`'s concern.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::format::Arch;
use super::hash::Digest;

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
    /// One program of a component.
    Program(Program),
    /// What the reference's registry has: the digest of an index or of a manifest, per architecture.
    Registry(BTreeMap<Arch, Digest>),
}

/// One program as a container image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program: `component:file`.
    pub program: String,
    /// Where it lies in the image.
    pub path: String,
    /// Names that link to it.
    pub links: Vec<String>,
    /// Command line.
    pub entrypoint: Vec<String>,
}

impl ContainerImage {
    /// Whether there is one for an architecture.
    #[must_use]
    pub fn is_for(&self, arch: Arch) -> bool {
        match &self.content {
            Content::Program(_) => true,
            Content::Registry(digest) => digest.contains_key(&arch),
        }
    }

    /// The component that it is made of, if any.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        match &self.content {
            Content::Program(program) => Some(program.program.split_once(':')?.0),
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
    /// The program of an image that is made of one: `component:file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    /// Where the program lies in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Names that link to the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<String>,
    /// The command line of the program's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<String>>,
    /// What the registry has, per architecture: the digest of an index or of a manifest, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<BTreeMap<Arch, Digest>>,
}

impl TryFrom<WrittenImage> for ContainerImage {
    type Error = String;

    fn try_from(written: WrittenImage) -> Result<Self, String> {
        let WrittenImage { reference, program, path, links, entrypoint, digest } = written;
        let content = match (program, digest) {
            (Some(program), None) => Content::Program(Program {
                program,
                path: path.ok_or("a container image with `program` needs `path`")?,
                links,
                entrypoint: entrypoint.ok_or("a container image with `program` needs `entrypoint`")?,
            }),
            (None, Some(digest)) => {
                let others = [
                    ("path", path.is_some()),
                    ("links", !links.is_empty()),
                    ("entrypoint", entrypoint.is_some()),
                ];
                if let Some((key, _)) = others.iter().find(|(_, there)| *there) {
                    return Err(format!("a container image with `digest` has no `{key}`"));
                }
                Content::Registry(digest)
            }
            _ => return Err("a container image has one of `program` and `digest`".to_owned()),
        };
        Ok(Self { reference, content })
    }
}

impl From<ContainerImage> for WrittenImage {
    fn from(ContainerImage { reference, content }: ContainerImage) -> Self {
        let empty =
            Self { reference, program: None, path: None, links: Vec::new(), entrypoint: None, digest: None };
        match content {
            Content::Program(Program { program, path, links, entrypoint }) => Self {
                program: Some(program),
                path: Some(path),
                links,
                entrypoint: Some(entrypoint),
                ..empty
            },
            Content::Registry(digest) => Self { digest: Some(digest), ..empty },
        }
    }
}
