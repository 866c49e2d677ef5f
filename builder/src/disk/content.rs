//! The content hash of a disk: what two people compare when their secrets differ.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use fs_err as fs;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha256};

use super::{DiskError, layout};

const CHUNK: usize = 1 << 20;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// SHA-256 over all bytes of a raw disk, those of its identity partition taken as zeros.
///
/// # Errors
/// [`DiskError`] when the disk cannot be read or has no identity partition.
pub fn content_sha256(raw: &Path) -> Result<[u8; 32], DiskError> {
    let mut disk = fs::File::open(raw)?;
    let identity = layout::identity(&mut disk).map_err(|source| DiskError::layout(raw, source))?.range;
    let size = disk.seek(SeekFrom::End(0))?;
    let mut hash = Sha256::new();
    update(&mut hash, &mut disk, 0..identity.start)?;
    update_zeros(&mut hash, identity.end - identity.start);
    update(&mut hash, &mut disk, identity.end..size)?;
    Ok(hash.finalize().into())
}

/// Hashes a range of a file; its holes are not read.
fn update(hash: &mut Sha256, file: &mut fs::File, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let data = next(file, at, Whence::SeekData)?.unwrap_or(range.end).min(range.end);
        update_zeros(hash, data - at);
        at = data;
        if at < range.end {
            let hole = next(file, at, Whence::SeekHole)?.unwrap_or(range.end).min(range.end);
            file.seek(SeekFrom::Start(at))?;
            let mut left = hole - at;
            let mut buffer = vec![0; CHUNK];
            while left > 0 {
                let part = &mut buffer[..left.min(CHUNK as u64) as usize];
                file.read_exact(part)?;
                hash.update(&*part);
                left -= part.len() as u64;
            }
            at = hole;
        }
    }
    Ok(())
}

fn update_zeros(hash: &mut Sha256, mut count: u64) {
    while count > 0 {
        let part = count.min(CHUNK as u64);
        hash.update(&ZEROS[..part as usize]);
        count -= part;
    }
}

/// Where the next data or hole begins, if any does before the end of the file.
fn next(file: &fs::File, at: u64, whence: Whence) -> io::Result<Option<u64>> {
    match lseek(file, at.cast_signed(), whence) {
        Ok(found) => Ok(Some(found.cast_unsigned())),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use sha2::{Digest, Sha256};

    use super::content_sha256;
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
        assert_eq!(content_sha256(&path).unwrap(), expected);

        put(layout.identity.range.start, b"secret");
        put(layout.identity.range.end - 1, b"x");
        assert_eq!(content_sha256(&path).unwrap(), expected);

        put(40 << 20, &[0; 5 << 20]);
        assert_eq!(content_sha256(&path).unwrap(), expected);

        for at in [layout.identity.range.start - 1, layout.identity.range.end, SIZE - 1024] {
            put(at, b"x");
            assert_ne!(content_sha256(&path).unwrap(), expected, "byte {at}");
            put(at, b"\0");
        }
    }
}
