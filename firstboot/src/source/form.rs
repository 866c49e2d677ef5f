//! How a source is read: from files of a bounded size, or as keys and values.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::machine::{Machine, names};
use crate::settings::Settings;
use crate::source::error::SourceError;

/// The most bytes that are read of one file of a source.
pub(super) const LARGEST: u64 = 256 << 10;

/// One place that may say what this node is.
pub trait Source {
    /// What it says; `None` when it is not there or says nothing to firstboot.
    ///
    /// # Errors
    /// It is there, and cannot be read or is wrong.
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError>;
}

/// A file of a source, and `None` when there is no such file.
pub(super) fn bounded(source_name: &'static str, path: &Path) -> Result<Option<Vec<u8>>, SourceError> {
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
pub(super) fn pairs<'a>(
    source_name: &'static str,
    prefix: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Settings, SourceError> {
    Settings::from_pairs(source_name, prefix, pairs)
        .map_err(|error| SourceError::Setting { source_name, error })
}

/// Settings from a folder with a value a file; `key` tells of each name in it the key and the file, or that it
/// belongs to others.
pub(super) fn folder(
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
