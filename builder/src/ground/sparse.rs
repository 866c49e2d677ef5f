//! Which blocks of a sparse file hold data, as far as its file system knows: it may take zeros for data, never data for
//! a hole.

use std::collections::BTreeSet;
use std::io;

use fs_err as fs;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// Where the blocks of a size begin that have data.
pub(crate) fn blocks(file: &fs::File, size: u64) -> io::Result<BTreeSet<u64>> {
    let end = file.metadata()?.len();
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(start) = next(file, at, Whence::SeekData)?.filter(|start| *start < end) {
        at = next(file, start, Whence::SeekHole)?.unwrap_or(end).min(end);
        found.extend((start - start % size..at).step_by(size as usize));
    }
    Ok(found)
}

/// Where the next data or hole begins, if any does before the end of the file.
fn next(file: &fs::File, at: u64, whence: Whence) -> io::Result<Option<u64>> {
    match lseek(file, at.cast_signed(), whence) {
        Ok(found) => Ok(Some(found.cast_unsigned())),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
