//! Why nothing was shared, and what to do about it.

use std::path::PathBuf;

use crate::ground::error::{Class, Explain};

/// Why nothing was shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The address cannot be used.
    #[error("`{address}` cannot be used: {message}")]
    Address {
        /// The address without what is secret.
        address: String,
        /// The fact.
        message: String,
    },
    /// The network was forbidden.
    #[error("{address} is on the network, and --offline forbids it")]
    Offline {
        /// The address without what is secret.
        address: String,
    },
    /// The user's file of credentials cannot be read. What its parser says may quote a secret.
    #[error("`{}` cannot be read as a file of AWS's tools", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
    },
    /// It wants to know who asks, or does not let him.
    #[error("{address}: `{name}`: {message}")]
    Refused {
        /// The address without what is secret.
        address: String,
        /// The file.
        name: String,
        /// The fact.
        message: String,
    },
    /// It does not answer as it should.
    #[error("{address}: `{name}`: {message}")]
    Remote {
        /// The address without what is secret.
        address: String,
        /// The file.
        name: String,
        /// The fact.
        message: String,
    },
    /// What came is not what the lock says.
    #[error("{} of the files at {address} are not what the lockfile says; none of these entered the store\n  {}", wrong.len(), wrong.join("\n  "))]
    Wrong {
        /// The address without what is secret.
        address: String,
        /// The files, each with the fact.
        wrong: Vec<String>,
    },
}

impl Explain for ShareError {
    fn class(&self) -> Class {
        match self {
            Self::Address { .. } | Self::Offline { .. } | Self::Credentials { .. } => Class::Input,
            Self::Refused { .. } | Self::Remote { .. } | Self::Wrong { .. } => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Address { .. } => {
                "write it as file:///DIR, s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH or https://HOST/PATH"
            }
            Self::Offline { .. } => "name a folder, `file:///DIR`, or run the same command without --offline",
            Self::Credentials { .. } => {
                "correct it, name another one with AWS_SHARED_CREDENTIALS_FILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Self::Refused { address, .. } => credentials(address),
            Self::Remote { .. } => "run the same command again: what is there already is not copied twice",
            Self::Wrong { .. } => {
                "delete them there; `builder fetch` and `builder build` get them from where they come from"
            }
        };
        Some(hint.to_owned())
    }
}

/// Where a service's credentials are looked for.
fn credentials(address: &str) -> &'static str {
    match address.split(':').next() {
        Some("s3" | "s3a") => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws/credentials with AWS_PROFILE; it must be allowed to list the bucket, too"
        }
        Some("gs") => "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
        Some("az" | "azure" | "adl" | "abfs" | "abfss") => {
            "set AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or AZURE_USE_AZURE_CLI=true after `az login`"
        }
        Some("file") => "give yourself the right to read and write the folder",
        _ => {
            "put `machine HOST login NAME password PASSWORD` into ~/.netrc, or into the file that NETRC names; it must allow GET, HEAD and PUT"
        }
    }
}
