//! Why a program in the sandbox did not do its work, and what to do about it.

use std::io;
use std::process::ExitStatus;

use crate::ground::error::{Class, Explain};

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The namespaces could not be made.
    #[error("the sandbox could not start: {message}")]
    Start {
        /// The failing step.
        message: String,
        /// The way out.
        hint: String,
    },
    /// The program failed.
    #[error("`{program}` failed ({status}) in the sandbox{}", tail_text(stderr))]
    Failed {
        /// Its command line.
        program: String,
        /// Exit code or signal.
        status: ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
    /// The pipes broke.
    #[error("running `{program}` in the sandbox")]
    Io {
        /// Its command line.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Explain for SandboxError {
    fn class(&self) -> Class {
        Class::Host
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Start { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }
}

fn tail_text(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it said:\n{stderr}") }
}
