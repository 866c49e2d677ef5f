//! Where a node's values come from, highest precedence first. A source reads and checks its own form and answers
//! [`Settings`]; it does not know what they are used for. Absent is not an error, present and wrong is one.

mod cmdline;
mod settings;
pub mod table;

use std::io;

pub use cmdline::Cmdline;
pub use settings::{Key, SettingError, Settings, Sourced};

use crate::machine::Machine;

/// One place that may say what this node is.
pub trait Source {
    /// What it says; `None` when it is not there or says nothing to firstboot.
    ///
    /// # Errors
    /// It is there, and cannot be read or is wrong.
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError>;
}

/// Every source in the order of precedence: a value of an earlier one wins.
pub const ORDER: [&dyn Source; 1] = [&Cmdline];

/// A source is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source cannot be read.
    #[error("{source_name}: {error}")]
    Read {
        /// Name of the source.
        source_name: &'static str,
        /// What the kernel said, with the path.
        error: io::Error,
    },
    /// One of its keys is unknown, given twice or has a wrong value.
    #[error("{source_name}: {error}")]
    Setting {
        /// Name of the source.
        source_name: &'static str,
        /// The key and what is wrong with it.
        error: SettingError,
    },
    /// A source names a node that the node table does not have.
    #[error("{origin}: the node table has no node `{name}`; its nodes are {valid}")]
    NoSuchNode {
        /// Source and key.
        origin: String,
        /// What stands there.
        name: String,
        /// The table's nodes.
        valid: String,
    },
    /// Network cards of this machine belong to different nodes of the node table.
    #[error(
        "node table: this machine has the network cards of {0}; say which with `kiln.node=NAME` on the kernel command line"
    )]
    Ambiguous(String),
}

/// Reads all sources into one set of values.
///
/// # Errors
/// As [`Source::read`], for the first source that is wrong.
pub fn read_all(machine: &Machine) -> Result<Settings, SourceError> {
    let mut settings = Settings::default();
    for source in ORDER {
        if let Some(found) = source.read(machine)? {
            settings = settings.or(found);
        }
    }
    Ok(settings)
}
