//! The content hash of a disk: what two people compare when their secrets differ.

use std::collections::BTreeMap;
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::disk::changes::Changes;
use crate::disk::error::DiskError;
use crate::disk::file::DiskFile;
use crate::disk::layout;
use crate::ground::parallel;
use crate::ground::repro::sha256_hex;

/// Bytes of a part, a multiple of a cluster's.
const PART: u64 = 1 << 20;

/// The hash of a disk with some of its clusters replaced, and those of its identity partition taken as zeros: the
/// SHA-256 of what `split --bytes=1M --filter=sha256sum` prints of it. The sums of its parts are taken at the same time,
/// and most parts are zeros.
///
/// # Errors
/// [`DiskError`] when the disk cannot be read or has no identity partition.
pub fn content_sha256(disk: &DiskFile, changes: &Changes) -> Result<[u8; 32], DiskError> {
    let size = disk.size();
    let identity = layout::identity(&mut disk.range(0..size));
    let identity = identity.map_err(|source| DiskError::layout(disk.path(), source))?.range;
    let mut filled = disk.filled(PART)?;
    filled.extend(changes.keys().map(|cluster| start(*cluster)));
    // The last part may be a short one.
    filled.extend(size.checked_sub(1).map(start));
    let filled: Vec<Range<u64>> = filled.into_iter().map(|at| at..size.min(at + PART)).collect();
    let sums = parallel::map(&filled, |range| {
        let mut part = vec![0; (range.end - range.start) as usize];
        disk.read_at(range.start, &mut part)?;
        for (at, cluster) in changes.range(range.clone()) {
            part[(at - range.start) as usize..][..cluster.len()].copy_from_slice(cluster);
        }
        let clamp = |at: u64| (at.clamp(range.start, range.end) - range.start) as usize;
        part[clamp(identity.start)..clamp(identity.end)].fill(0);
        Ok((range.start, sum(&part)))
    });
    let sums = sums.into_iter().collect::<std::io::Result<BTreeMap<u64, String>>>()?;
    let zeros = sum(&vec![0; PART as usize]);
    let lines = (0..size).step_by(PART as usize).map(|at| sums.get(&at).unwrap_or(&zeros).as_str());
    Ok(Sha256::digest(lines.collect::<String>()).into())
}

/// Where the part begins that a byte is in.
fn start(at: u64) -> u64 {
    at - at % PART
}

/// A line as sha256sum writes it.
fn sum(part: &[u8]) -> String {
    format!("{}  -\n", sha256_hex(part))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};
    use std::path::Path;

    use assert_cmd::Command;

    use super::content_sha256;
    use crate::disk::changes::{CLUSTER, Changes};
    use crate::disk::error::DiskError;
    use crate::disk::file::DiskFile;
    use crate::disk::layout::Layout;
    use crate::ground::arch::Arch;

    /// By the programs that the documentation names.
    fn by_hand(disk: &Path) -> [u8; 32] {
        let mut split = Command::new("sh");
        let said =
            split.args(["-c", "split --bytes=1M --filter=sha256sum \"$1\" | sha256sum", "-"]).arg(disk);
        let said = String::from_utf8(said.output().unwrap().stdout).unwrap();
        hex::decode(said.split_whitespace().next().unwrap()).unwrap().try_into().unwrap()
    }

    fn content(disk: &Path, changes: &Changes) -> Result<[u8; 32], DiskError> {
        content_sha256(&DiskFile::open(disk).unwrap(), changes)
    }

    #[test]
    fn only_the_identity_is_left_out_and_holes_make_no_difference() {
        const SIZE: u64 = 64 << 20;
        let layout = Layout::new(Arch::Amd64, SIZE, &[7; 32]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let mut disk = fs_err::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        disk.set_len(SIZE).unwrap();
        layout.write(&mut disk).unwrap();
        let mut put = |at: u64, bytes: &[u8]| {
            disk.seek(SeekFrom::Start(at)).unwrap();
            disk.write_all(bytes).unwrap();
        };
        put(layout.root.range.start + 12_345, b"data");
        let expected = by_hand(&path);
        assert_eq!(content(&path, &Changes::new()).unwrap(), expected);

        put(layout.identity.range.start, b"secret");
        put(layout.identity.range.end - 1, b"x");
        assert_eq!(content(&path, &Changes::new()).unwrap(), expected);

        put(40 << 20, &[0; 5 << 20]);
        assert_eq!(content(&path, &Changes::new()).unwrap(), expected);

        let cluster = vec![7; CLUSTER as usize];
        let changed = content(&path, &[(23 << 20, cluster.clone())].into()).unwrap();
        assert_ne!(changed, expected);
        put(23 << 20, &cluster);
        assert_eq!(content(&path, &Changes::new()).unwrap(), changed, "as if it had been written");
        put(23 << 20, &[0; CLUSTER as usize]);

        for at in [layout.identity.range.start - 1, layout.identity.range.end, SIZE - 1024] {
            put(at, b"x");
            assert_ne!(content(&path, &Changes::new()).unwrap(), expected, "byte {at}");
            put(at, b"\0");
        }
    }
}
