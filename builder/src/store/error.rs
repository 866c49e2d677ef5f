//! Why a store cannot be looked through, and what to do about it.

use std::path::PathBuf;

use crate::ground::error::{Class, Explain};

/// Why a store cannot be looked through.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder is no store.
    #[error("there is no store in `{}`", root.display())]
    Missing {
        /// Where it was looked for.
        root: PathBuf,
    },
    /// Something uses it, and something should be removed.
    #[error("the store `{}` is in use; nothing was removed", root.display())]
    Busy {
        /// The store.
        root: PathBuf,
    },
    /// What is needed of it is not what it should be.
    #[error("`{entry}` in the store is wrong: {message}")]
    Damaged {
        /// Path below the store.
        entry: String,
        /// The fact.
        message: String,
    },
    /// It holds something else than it should.
    #[error("{wrong} of {checked} entries of the store are wrong")]
    Wrong {
        /// How many are.
        wrong: usize,
        /// How many were looked at.
        checked: usize,
    },
}

impl Explain for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::Input,
            Self::Busy { .. } | Self::Damaged { .. } | Self::Wrong { .. } => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Missing { .. } => "name it with `--store DIR`; the first build or fetch makes it",
                Self::Busy { .. } => "run the same command again when no other `builder` runs",
                Self::Damaged { .. } | Self::Wrong { .. } => {
                    "`builder store verify --remove` deletes what is wrong; the next build makes it again"
                }
            }
            .to_owned(),
        )
    }
}
