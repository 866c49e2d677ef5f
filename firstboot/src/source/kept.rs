//! What a source said, kept on the node as JSON: its disk may be taken away, and its server may be silent at a later boot.

use std::io;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::schema;
use crate::settings::Settings;

/// It cannot be kept, or what is kept is wrong.
#[derive(Debug, thiserror::Error)]
#[error("/{path}: {error}; remove it to forget what it says")]
pub struct KeptError {
    /// The file, relative to the root.
    pub path: &'static str,
    /// What is wrong with it.
    pub error: io::Error,
}

/// The file, version 1.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    seed: Settings,
}

/// The settings with the text of the file that keeps them.
///
/// # Errors
/// None in practice: settings have only text for keys.
pub fn keep(path: &'static str, settings: Settings) -> Result<Settings, KeptError> {
    let kept = Kept { version: schema::VERSION, seed: settings };
    let text =
        serde_json::to_string_pretty(&kept).map_err(|error| KeptError { path, error: error.into() })?;
    Ok(Settings { kept: vec![(path, format!("{text}\n"))], ..kept.seed })
}

/// What an earlier boot kept below `root`.
///
/// # Errors
/// The file is there, and cannot be read or is wrong.
pub fn kept(root: &Path, path: &'static str) -> Result<Option<Settings>, KeptError> {
    let wrong = |error| KeptError { path, error };
    let text = match fs::read_to_string(root.join(path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let kept: Kept = serde_json::from_str(&text).map_err(|error| wrong(error.into()))?;
    Ok(Some(Settings { kept: vec![(path, text)], ..kept.seed }))
}
