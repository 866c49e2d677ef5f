//! Which ranges of a sparse file hold data, as far as its file system knows: it may take zeros for data, never data for
//! a hole.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use fs_err as fs;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// The ranges of data within a range, in order.
pub(crate) fn data(file: &fs::File, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let start = next(file, at, Whence::SeekData)?.unwrap_or(range.end).min(range.end);
        if start == range.end {
            break;
        }
        at = next(file, start, Whence::SeekHole)?.unwrap_or(range.end).min(range.end);
        found.push(start..at);
    }
    Ok(found)
}

/// Where the blocks of a size begin that have data.
pub(crate) fn blocks(file: &fs::File, size: u64) -> io::Result<BTreeSet<u64>> {
    let ranges = data(file, 0..file.metadata()?.len())?.into_iter();
    Ok(ranges
        .flat_map(|range| (range.start - range.start % size..range.end).step_by(size as usize))
        .collect())
}

/// Where the next data or hole begins, if any does before the end of the file.
fn next(file: &fs::File, at: u64, whence: Whence) -> io::Result<Option<u64>> {
    match lseek(file, at.cast_signed(), whence) {
        Ok(found) => Ok(Some(found.cast_unsigned())),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
