//! Why a container image did not reach the store, and what to do about it.

use std::path::PathBuf;

use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain};

/// Why a container image did not reach the store.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// What came is not what the digest says.
    #[error(
        "{image}: the digest does not match\n  expected {expected}\n  found    {found}\n  from     {from}"
    )]
    Mismatch {
        /// The image's reference.
        image: String,
        /// The digest of the lock, or of a document that it leads to.
        expected: String,
        /// The digest of what came, or how it differs.
        found: String,
        /// The place.
        from: String,
    },
    /// There is an image, but not for this architecture.
    #[error("{image} has nothing for linux/{arch}; it has: {known}")]
    Architecture {
        /// The image's reference.
        image: String,
        /// What was asked for.
        arch: Arch,
        /// What there is.
        known: String,
    },
    /// The registry has something else under this name.
    #[error("{image} is no container image: {part} is of the media type `{found}`")]
    Kind {
        /// The image's reference.
        image: String,
        /// The part's digest.
        part: String,
        /// Its media type.
        found: String,
    },
    /// A document of the image says nothing that could be followed.
    #[error("{image} is no container image: {part}: {message}")]
    Broken {
        /// The image's reference.
        image: String,
        /// The part's digest.
        part: String,
        /// The fact.
        message: String,
    },
    /// No place has it.
    #[error("{image}: {part} is at none of its places (tried {tried})")]
    Gone {
        /// The image's reference.
        image: String,
        /// The part's digest, or the tag.
        part: String,
        /// The places.
        tried: String,
    },
    /// A registry wants to know who asks, or does not like the answer.
    #[error("fetching {image}: `{registry}` refused: {message}")]
    Refused {
        /// The image's reference.
        image: String,
        /// The registry.
        registry: String,
        /// Its answer.
        message: String,
    },
    /// A registry's certificate is of an authority that this machine does not know, or of another name.
    #[error("fetching {image}: the certificate of `{registry}` is not accepted: {message}")]
    Certificate {
        /// The image's reference.
        image: String,
        /// The registry.
        registry: String,
        /// The fact.
        message: String,
    },
    /// The network failed.
    #[error("fetching {image}: {message} (tried {tried})")]
    Network {
        /// The image's reference.
        image: String,
        /// The last failure.
        message: String,
        /// The places.
        tried: String,
    },
    /// Docker's configuration file cannot be used.
    #[error("`{}` gives no credentials for `{registry}`: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The registry.
        registry: String,
        /// The fact, without what the file says.
        message: String,
    },
    /// The network was forbidden.
    #[error("{image} is not in the store, and --offline forbids fetching it")]
    Offline {
        /// The image's reference.
        image: String,
    },
    /// The reference on the command line is none.
    #[error("`{reference}` is no reference of a container image: {fact}")]
    Reference {
        /// What was given.
        reference: String,
        /// The fact.
        fact: String,
    },
}

impl Explain for OciError {
    fn class(&self) -> Class {
        match self {
            Self::Offline { .. }
            | Self::Config { .. }
            | Self::Reference { .. }
            | Self::Architecture { .. }
            | Self::Kind { .. } => Class::Input,
            _ => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Mismatch { .. } => {
                "nothing of it entered the store; compare the lock's digest with the one that the publisher names"
            }
            Self::Architecture { .. } => {
                "take the digest of an image for this architecture, or remove the architecture from `digest`"
            }
            Self::Kind { .. } | Self::Broken { .. } => {
                "take the digest of an OCI or Docker image, manifest or index; charts and other artifacts are none"
            }
            Self::Gone { .. } => {
                "ask the registry what it has, or map `https://REGISTRY` to a mirror under `[mirrors]` in ~/.config/kiln/config.toml"
            }
            Self::Refused { registry, .. } => {
                return Some(format!(
                    "run `docker login {registry}`, or put `machine {} login NAME password PASSWORD` into ~/.netrc",
                    host(registry)
                ));
            }
            Self::Certificate { .. } => {
                "name your site's authority with SSL_CERT_FILE=FILE (PEM), or add it to those of this machine"
            }
            Self::Network { .. } => "run the same command again: it resumes where it stopped",
            Self::Config { .. } => "correct it, or name another folder with DOCKER_CONFIG",
            Self::Offline { .. } => "run `builder fetch` with the same arguments where there is a network",
            Self::Reference { .. } => "write it as `oci://REGISTRY/NAME:TAG`",
        };
        Some(hint.to_owned())
    }
}

/// A registry without its port.
pub(super) fn host(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    }
}
