//! Where a node's values come from, highest precedence first. A source reads and checks its own form and answers
//! [`Settings`]; it does not know what they are used for. Absent is not an error, present and wrong is one.

mod announced;
mod cmdline;
mod credentials;
mod fw_cfg;
mod interface;
mod kept;
mod keys;
pub mod metadata;
pub mod nocloud;
mod settings;
mod smbios;
pub mod table;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use cmdline::Cmdline;
pub use credentials::Credentials;
use fs_err as fs;
pub use fw_cfg::FwCfg;
pub use interface::{Account, Interface, Route, Selector};
pub use kept::KeptError;
pub use keys::{Key, SettingError, first_label};
pub use metadata::{Metadata, MetadataError};
pub use nocloud::{NoCloud, NoCloudError};
pub use settings::{Settings, Sourced, add_account};
pub use smbios::Smbios;

use crate::machine::{Machine, names};

/// The most bytes that are read of one file of a source.
const LARGEST: u64 = 256 << 10;

/// One place that may say what this node is.
pub trait Source {
    /// What it says; `None` when it is not there or says nothing to firstboot.
    ///
    /// # Errors
    /// It is there, and cannot be read or is wrong.
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError>;
}

/// Every source in the order of precedence: a value of an earlier one wins.
pub const ORDER: [&dyn Source; 6] = [&Cmdline, &Smbios, &FwCfg, &Credentials, &NoCloud, &Metadata];

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
    /// The NoCloud seed is wrong.
    #[error(transparent)]
    NoCloud(#[from] NoCloudError),
    /// What is kept of a source is wrong.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// A cloud's metadata cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
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

/// A file of a source, and `None` when there is no such file.
fn bounded(source_name: &'static str, path: &Path) -> Result<Option<Vec<u8>>, SourceError> {
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            let limit = format!("`{}` is larger than {LARGEST} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, limit));
        }
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SourceError::Read { source_name, error }),
    }
}

/// Settings from keys and values.
fn pairs<'a>(
    source_name: &'static str,
    prefix: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Settings, SourceError> {
    Settings::from_pairs(source_name, prefix, pairs)
        .map_err(|error| SourceError::Setting { source_name, error })
}

/// Settings from a folder with a value a file; `key` tells of each name in it the key and the file, or that it
/// belongs to others.
fn folder(
    source_name: &'static str,
    prefix: &str,
    dir: &Path,
    key: impl Fn(&str) -> Option<(String, PathBuf)>,
) -> Result<Option<Settings>, SourceError> {
    let names = names(dir).map_err(|error| SourceError::Read { source_name, error })?;
    let mut found = Vec::new();
    for (key, path) in names.iter().filter_map(|name| key(name)) {
        let value = bounded(source_name, &path)?.unwrap_or_default();
        found.push((key, String::from_utf8_lossy(&value).trim_end_matches(['\n', '\0']).to_owned()));
    }
    let settings = pairs(source_name, prefix, found.iter().map(|(key, value)| (&**key, &**value)))?;
    Ok((settings != Settings::default()).then_some(settings))
}
