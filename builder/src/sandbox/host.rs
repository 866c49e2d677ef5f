//! The one program that may come from the host: apt, for the first `lock update`, when no lock names a tool root yet.
//! It writes hashes into the lock that everything else verifies, so no byte of an image depends on it.

use std::path::Path;
use std::process::Command;

use crate::ground::error::{Class, Explain};

/// Why the host's apt did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is none.
    #[error("the lock has no tool root yet, and this host has no `{program}` ({source})")]
    Missing {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It failed.
    #[error("the host's `{program}` failed; it said:\n{stderr}")]
    Failed {
        /// Its command line.
        program: String,
        /// What it said.
        stderr: String,
    },
}

impl Explain for HostError {
    fn class(&self) -> Class {
        Class::Host
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("run it on Debian, or start from a lock that has a tool root".to_owned())
            }
            Self::Failed { .. } => None,
        }
    }
}

/// Runs a program of apt with nothing but its configuration in the environment; returns its standard output.
///
/// # Errors
/// [`HostError`].
#[expect(clippy::disallowed_methods, reason = "this module is the one door besides the sandbox")]
pub fn apt(program: &str, args: &[&str], configuration: &Path) -> Result<Vec<u8>, HostError> {
    let output = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("APT_CONFIG", configuration)
        .output()
        .map_err(|source| HostError::Missing { program: program.to_owned(), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(HostError::Failed { program: format!("{program} {}", args.join(" ")), stderr })
}
