//! How much room a file system has, and what is told when it is full.

use std::path::{Path, PathBuf};

use crate::ground::error::{Class, Error, Explain};

/// Free room that a cold build of a profile takes, in bytes: the store's downloads, package roots and disks.
pub(crate) const BUILD: u64 = 12 << 30;

/// With less than this, in bytes, a program that finds no room has filled this file system, not its memory.
const NONE: u64 = 64 << 20;

/// How the kernel says it (ENOSPC, EDQUOT), and with it every program: their locale is fixed. Go writes it small.
const WORDS: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// A file system is full.
#[derive(Debug, thiserror::Error)]
#[error("no room on the file system of `{}`: {} MB free, {} MB needed for {what}{cause}", folder.display(), free / 1_000_000, need.div_ceil(1_000_000))]
pub struct FullError {
    /// The store, or the folder of the results.
    pub folder: PathBuf,
    /// Free bytes.
    pub free: u64,
    /// Bytes that are needed.
    pub need: u64,
    /// What for.
    pub what: &'static str,
    /// What failed, after a line break; empty when nothing was begun.
    cause: String,
    /// The option that names another folder.
    option: &'static str,
}

impl Explain for FullError {
    fn class(&self) -> Class {
        Class::Host
    }

    fn hint(&self) -> Option<String> {
        Some(match self.option {
            "--store" => {
                "`builder store gc` removes what is no longer needed; or name a larger place with `--store DIR`".to_owned()
            }
            option => format!("remove something there, or name a larger place with `{option} DIR`"),
        })
    }
}

/// What is to be written where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need<'a> {
    /// Bytes.
    pub bytes: u64,
    /// What for.
    pub what: &'static str,
    /// Where.
    pub folder: &'a Path,
    /// The option that names another folder.
    pub option: &'static str,
}

impl Need<'_> {
    /// Refuses what cannot fit.
    ///
    /// # Errors
    /// [`FullError`].
    pub fn check(&self) -> Result<(), FullError> {
        match free(self.folder) {
            Ok(free) if free < self.bytes => Err(self.full(free, String::new())),
            // Who cannot tell how much room there is finds out.
            _ => Ok(()),
        }
    }

    /// A failure, or that there is no room when that is its reason.
    pub fn explain(&self, error: Error) -> Error {
        let fact = error.fact();
        let (free, small) = (free(self.folder).unwrap_or(0), fact.to_lowercase());
        match WORDS.iter().any(|words| small.contains(words)) && free < NONE {
            true => self.full(free, format!("\n  {fact}")).into(),
            false => error,
        }
    }

    fn full(&self, free: u64, cause: String) -> FullError {
        let Self { bytes: need, what, folder, option } = *self;
        FullError { folder: folder.to_owned(), free, need, what, cause, option }
    }
}

/// Free bytes for this user on the file system of a folder; none when it can hold no more files.
///
/// # Errors
/// When the folder is not there.
pub(crate) fn free(folder: &Path) -> std::io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(folder)?;
    // File systems without a fixed number of files say 0 of 0.
    let files = stat.files() == 0 || stat.files_available() > 0;
    Ok(if files { stat.blocks_available() * stat.fragment_size() } else { 0 })
}
