//! Why no bill of materials can be written.

use crate::ground::error::{Class, Explain};

/// Why no bill of materials can be written.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// A program says that it has other modules than those that the lock says it is compiled of.
    #[error("`{program}` says that `{module}` is in it, which the lockfile does not have for `{build}`")]
    Module {
        /// The program's file name.
        program: String,
        /// The module with its version.
        module: String,
        /// The build that made it.
        build: String,
    },
}

impl Explain for SbomError {
    fn class(&self) -> Class {
        Class::Host
    }

    fn hint(&self) -> Option<String> {
        let Self::Module { build, .. } = self;
        Some(format!(
            "`builder lock update {build}` reads go.mod and go.sum anew; if it changes nothing, report this"
        ))
    }
}
