//! `firstboot status`: what this machine was configured with, from the record, for people and for programs. It reads
//! no source and writes no file.

use std::io::{self, Write};
use std::path::Path;

use crate::record::{RECORD_FILE, Record, RecordError, State};

/// There is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// firstboot has not configured this machine.
    #[error(
        "this machine is not configured: there is no /{RECORD_FILE}; see `journalctl --unit kiln-firstboot`"
    )]
    None,
    /// The record is wrong.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The answer cannot be written.
    #[error("writing the answer: {0}")]
    Write(#[from] io::Error),
}

/// Writes the record below `root` to `out`, as JSON or as lines for people.
///
/// # Errors
/// There is no record, or it is wrong.
pub fn status(root: &Path, json: bool, out: &mut dyn Write) -> Result<(), StatusError> {
    let record = Record::read(root)?.ok_or(StatusError::None)?;
    if json {
        return Ok(out.write_all(&record.to_json()?)?);
    }
    if !record.is_complete() {
        writeln!(out, "not complete: firstboot stopped while it wrote these; the next boot starts again")?;
    }
    writeln!(out, "node {}", record.node)?;
    for value in &record.values {
        writeln!(out, "{} {} ({})", value.key, value.value, value.source)?;
    }
    for ignored in &record.ignored {
        writeln!(out, "ignored {ignored}")?;
    }
    let state = match record.identity.state {
        State::None => "none",
        State::Wiping => "taken, and its partition is still to be wiped at the next boot",
        State::Wiped => "taken",
    };
    writeln!(out, "identity {state}, {} files", record.identity.files.len())?;
    writeln!(out, "files {}", record.files.len())?;
    Ok(())
}
