//! The content hash of a disk: what two people compare when their secrets differ.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use fs_err as fs;
use sha2::{Digest, Sha256};

use super::changes::Changes;
use super::{DiskError, layout};
use crate::sparse;

const CHUNK: usize = 1 << 20;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// SHA-256 over all bytes of a raw disk with some of its clusters replaced, those of its identity partition taken as
/// zeros.
///
/// # Errors
/// [`DiskError`] when the disk cannot be read or has no identity partition.
pub fn content_sha256(raw: &Path, changes: &Changes) -> Result<[u8; 32], DiskError> {
    let mut disk = fs::File::open(raw)?;
    let identity = layout::identity(&mut disk).map_err(|source| DiskError::layout(raw, source))?.range;
    let size = disk.seek(SeekFrom::End(0))?;
    let mut hash = Sha256::new();
    update(&mut hash, &mut disk, changes, 0..identity.start)?;
    update_zeros(&mut hash, identity.end - identity.start);
    update(&mut hash, &mut disk, changes, identity.end..size)?;
    Ok(hash.finalize().into())
}

/// Hashes a range of a file, whose ends are ends of clusters.
fn update(hash: &mut Sha256, file: &mut fs::File, changes: &Changes, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    for (start, cluster) in changes.range(range.clone()) {
        unchanged(hash, file, at..*start)?;
        hash.update(cluster);
        at = start + cluster.len() as u64;
    }
    unchanged(hash, file, at..range.end)
}

/// Hashes a range of a file; its holes are not read.
fn unchanged(hash: &mut Sha256, file: &mut fs::File, range: Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = range.start;
    for data in sparse::data(file, range.clone())? {
        update_zeros(hash, data.start - at);
        at = data.end;
        file.seek(SeekFrom::Start(data.start))?;
        let mut left = data.end - data.start;
        while left > 0 {
            let part = &mut buffer[..left.min(CHUNK as u64) as usize];
            file.read_exact(part)?;
            hash.update(&*part);
            left -= part.len() as u64;
        }
    }
    update_zeros(hash, range.end - at);
    Ok(())
}

fn update_zeros(hash: &mut Sha256, mut count: u64) {
    while count > 0 {
        let part = count.min(CHUNK as u64);
        hash.update(&ZEROS[..part as usize]);
        count -= part;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use sha2::{Digest, Sha256};

    use super::content_sha256;
    use crate::disk::changes::{CLUSTER, Changes};
    use crate::disk::layout::Layout;
    use crate::lock::format::Arch;

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
        let expected: [u8; 32] = Sha256::digest(fs_err::read(&path).unwrap()).into();
        assert_eq!(content_sha256(&path, &Changes::new()).unwrap(), expected);

        put(layout.identity.range.start, b"secret");
        put(layout.identity.range.end - 1, b"x");
        assert_eq!(content_sha256(&path, &Changes::new()).unwrap(), expected);

        put(40 << 20, &[0; 5 << 20]);
        assert_eq!(content_sha256(&path, &Changes::new()).unwrap(), expected);

        let cluster = vec![7; CLUSTER as usize];
        let changed = content_sha256(&path, &[(23 << 20, cluster.clone())].into()).unwrap();
        assert_ne!(changed, expected);
        put(23 << 20, &cluster);
        assert_eq!(content_sha256(&path, &Changes::new()).unwrap(), changed, "as if it had been written");
        put(23 << 20, &[0; CLUSTER as usize]);

        for at in [layout.identity.range.start - 1, layout.identity.range.end, SIZE - 1024] {
            put(at, b"x");
            assert_ne!(content_sha256(&path, &Changes::new()).unwrap(), expected, "byte {at}");
            put(at, b"\0");
        }
    }
}
