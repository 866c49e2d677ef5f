//! Bytes of two disks, as far as no part is known that they are of.

use std::collections::BTreeSet;
use std::io;

use crate::disk::file::DiskRange;
use crate::ground::parallel;
use crate::inspect::diff::difference::{Area, Difference};

/// Bytes that are compared at once.
const PART: u64 = 1 << 20;

/// Fields of ext4's superblock that no file shows: where they are, how many bytes, and their names there.
const SUPERBLOCK: [(usize, usize, &str); 12] = [
    (44, 4, "s_mtime"),
    (48, 4, "s_wtime"),
    (52, 2, "s_mnt_count"),
    (58, 2, "s_state"),
    (64, 4, "s_lastcheck"),
    (92, 4, "s_feature_compat"),
    (96, 4, "s_feature_incompat"),
    (100, 4, "s_feature_ro_compat"),
    (136, 64, "s_last_mounted"),
    (236, 16, "s_hash_seed"),
    (264, 4, "s_mkfs_time"),
    (376, 8, "s_kbytes_written"),
];

/// Where two ranges first differ, told as a place; none if they do not. What one has more of must be zeros.
///
/// # Errors
/// When a disk cannot be read.
pub(super) fn difference(
    name: &str,
    first: &DiskRange,
    second: &DiskRange,
) -> io::Result<Option<Difference>> {
    let parts: BTreeSet<u64> = first.filled(PART)?.into_iter().chain(second.filled(PART)?).collect();
    let parts: Vec<u64> = parts.into_iter().collect();
    let compared = parallel::map(&parts, |at| -> io::Result<Option<u64>> {
        let (mine, theirs) = (part(first, *at)?, part(second, *at)?);
        let differs = mine.iter().zip(&theirs).position(|(mine, theirs)| mine != theirs);
        Ok(differs.map(|index| at + index as u64))
    });
    let mut differing = compared.into_iter().filter_map(Result::transpose);
    let Some(at) = differing.next().transpose()? else { return Ok(None) };
    let more = differing.count();
    let more = if more == 0 { String::new() } else { format!(", and {more} more MiB") };
    Ok(Some(Difference::untold(Area::Bytes, name, &format!("byte {at}{more}"))))
}

fn part(range: &DiskRange, at: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; PART as usize];
    let there = range.size().saturating_sub(at).min(PART) as usize;
    range.read_at(at.min(range.size()), &mut bytes[..there])?;
    Ok(bytes)
}

/// The fields of two superblocks that differ.
pub(super) fn superblock(name: &str, first: &DiskRange, second: &DiskRange) -> io::Result<Vec<Difference>> {
    let read = |range: &DiskRange| -> io::Result<[u8; 1024]> {
        let mut bytes = [0; 1024];
        range.read_at(1024, &mut bytes)?;
        Ok(bytes)
    };
    let (mine, theirs) = (read(first)?, read(second)?);
    let differ = SUPERBLOCK.iter().filter_map(|(at, length, field)| {
        let (mine, theirs) = (&mine[*at..at + length], &theirs[*at..at + length]);
        (mine != theirs).then(|| Difference::of(Area::Partition, name, field, shown(mine), shown(theirs)))
    });
    Ok(differ.collect())
}

/// A number of up to eight bytes, else the bytes.
fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= 8 {
        let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        return number.to_string();
    }
    hex::encode(bytes)
}
