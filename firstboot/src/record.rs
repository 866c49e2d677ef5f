//! The record of what was applied, which is also the marker: written last, so that a node without it is not done.
//! It holds nothing secret. It does not decide whether the plan has to be applied again.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::schema::Mac;

/// Where the record lies, relative to the root.
pub const RECORD_FILE: &str = "var/lib/kiln/firstboot.json";

/// The newest version of the record that this program understands.
pub const VERSION: u32 = 1;

/// A value for the record: what it is, what it is called and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Name of the value.
    pub key: String,
    /// The value as text.
    pub value: String,
    /// Where it came from.
    pub source: String,
}

/// What was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// Format version, [`VERSION`].
    pub version: u32,
    /// The node that this machine is.
    pub node: String,
    /// [`crate::plan::Plan::hash`] of the plan; empty while its files get their places.
    pub plan: String,
    /// Each value and where it came from.
    pub values: Vec<Value>,
    /// What a source says that was not applied, by name.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// The files of the plan, absolute.
    pub files: Vec<String>,
    /// What became of the identity.
    pub identity: Taken,
}

/// What became of the identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Taken {
    /// How far it is.
    pub state: State,
    /// The files that came from it, absolute.
    pub files: Vec<String>,
    /// SHA-256 in hexadecimal of the stream, when the last one came with a seed: it is not taken again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// How far taking the identity is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There was none.
    #[default]
    None,
    /// Its files are safe on this disk; what the partition still holds may be cut off and is not to be read again.
    Wiping,
    /// Its files are safe and the partition is empty.
    Wiped,
}

/// The record is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is not a record.
    #[error("/{RECORD_FILE}: {0}; remove it to configure this node anew")]
    Json(#[from] serde_json::Error),
    /// A newer firstboot wrote it.
    #[error("/{RECORD_FILE}: version {0} is newer than this firstboot understands ({VERSION})")]
    Newer(u32),
}

/// The part of every version of the record that tells which one it is.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl Record {
    /// Reads the record of an earlier run, if there was one.
    ///
    /// # Errors
    /// It cannot be read or is no record.
    pub fn read(root: &Path) -> Result<Option<Self>, RecordError> {
        let bytes = match fs::read(root.join(RECORD_FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let head: Head = serde_json::from_slice(&bytes)?;
        if head.version > VERSION {
            return Err(RecordError::Newer(head.version));
        }
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// What is recorded while the files of this record get their places, after those of `before`: no plan, so that the
    /// next boot applies its own whatever it is, and the files of both, so that it removes those that it does not have.
    /// With `takes` an identity is among them, so that one that a seed carries is taken again.
    #[must_use]
    pub fn begun(&self, before: Option<&Self>, takes: bool) -> Self {
        let mut identity = before.map(|record| record.identity.clone()).unwrap_or_default();
        let new = self.identity.files.iter().filter(|path| !identity.files.contains(path));
        let both = before.iter().flat_map(|record| &record.files).chain(&self.files).chain(new);
        let files = both.cloned().collect::<BTreeSet<_>>().into_iter().collect();
        identity.seed = identity.seed.filter(|_| !takes);
        Self { plan: String::new(), files, identity, ..self.clone() }
    }

    /// The cluster's network card.
    pub fn card(&self) -> Option<Mac> {
        self.values.iter().find(|value| value.key == "card")?.value.parse().ok()
    }

    /// Whether all of its files got their places.
    pub fn is_complete(&self) -> bool {
        !self.plan.is_empty()
    }

    /// The files of `before` that this record has not.
    pub fn stale<'a>(&self, before: Option<&'a Self>) -> Vec<&'a str> {
        let earlier = before.into_iter().flat_map(|record| &record.files);
        let here = |path: &&String| self.files.contains(path) || self.identity.files.contains(path);
        earlier.filter(|path| !here(path)).map(String::as_str).collect()
    }

    /// The record as it is written: indented, for people.
    ///
    /// # Errors
    /// None in practice: the record has only text for keys.
    pub fn to_json(&self) -> Result<Vec<u8>, RecordError> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}
