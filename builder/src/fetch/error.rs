//! Why a file did not reach the store, and what to do about it.

use std::path::PathBuf;

use crate::fetch::item::Origin;
use crate::ground::error::{Class, Explain};
use crate::ground::hash::Hash;

/// Why a file did not reach the store.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What came is not what the lock says.
    #[error(
        "{subject}: the checksum does not match\n  expected {expected}\n  found    {found}\n  from     {url}"
    )]
    Mismatch {
        /// What it should have been.
        subject: String,
        /// The lock's hash.
        expected: Hash,
        /// The hash of what came, or that it never ended.
        found: String,
        /// The last address.
        url: String,
        /// Who publishes it.
        origin: Origin,
    },
    /// No address has it any more.
    #[error("{}", gone(subject, tried, *origin))]
    Gone {
        /// The file.
        subject: String,
        /// The addresses.
        tried: String,
        /// Who publishes it.
        origin: Origin,
    },
    /// The network failed.
    #[error("fetching {subject}: {message} (tried {tried})")]
    Network {
        /// The file.
        subject: String,
        /// The last failure.
        message: String,
        /// The addresses.
        tried: String,
    },
    /// A server wants to know who asks.
    #[error("fetching {subject}: {message}")]
    Refused {
        /// The file.
        subject: String,
        /// The server's answer.
        message: String,
    },
    /// The user's netrc file cannot be read.
    #[error("`{}` is no netrc file that can be read", path.display())]
    Netrc {
        /// The file.
        path: PathBuf,
    },
    /// The host cannot speak TLS.
    #[error("nothing can be fetched: {message}")]
    Client {
        /// The fact.
        message: String,
    },
    /// The network was forbidden.
    #[error("{subject} is not in the store, and --offline forbids fetching it ({missing} files are missing)")]
    Offline {
        /// The first missing file.
        subject: String,
        /// How many are missing.
        missing: usize,
    },
}

fn gone(subject: &str, tried: &str, origin: Origin) -> String {
    match origin {
        Origin::Debian => format!(
            "{subject} is not on any mirror any more (tried {tried}); Debian's pool drops packages at point releases"
        ),
        Origin::Upstream => format!("{subject} is at none of its addresses (tried {tried})"),
    }
}

impl Explain for FetchError {
    fn class(&self) -> Class {
        match self {
            Self::Offline { .. } | Self::Netrc { .. } => Class::Input,
            _ => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Mismatch { origin: Origin::Debian, .. } => {
                "nothing of it entered the store; try another mirror with `--debian-mirror URL`"
            }
            Self::Mismatch { origin: Origin::Upstream, .. } => {
                "nothing of it entered the store; compare the lock's checksum with the one that upstream publishes"
            }
            Self::Gone { origin: Origin::Debian, .. } => {
                "run `builder lock update`, or name a snapshot mirror in ~/.config/kiln/config.toml: `[mirror]` with `snapshot = \"http://HOST\"`"
            }
            Self::Gone { origin: Origin::Upstream, .. } => {
                "put its new address into the lock's `urls`; `file:///…` works, too"
            }
            Self::Network { .. } => "run the same command again: it resumes where it stopped",
            Self::Refused { .. } => {
                "put `machine HOST login NAME password PASSWORD` into ~/.netrc, or into the file that NETRC names"
            }
            Self::Netrc { .. } => {
                "correct it: `machine HOST login NAME password PASSWORD` a line; or name another one with NETRC"
            }
            Self::Client { .. } => "install the package `ca-certificates`",
            Self::Offline { .. } => "run `builder fetch` with the same arguments where there is a network",
        };
        Some(hint.to_owned())
    }
}
