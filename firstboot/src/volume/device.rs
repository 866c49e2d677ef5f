//! A device or an image of one, read in bounded pieces.

use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use fs_err as fs;

/// A device or an image of one.
#[derive(Debug)]
pub struct Device {
    file: fs::File,
    len: u64,
}

impl Device {
    /// Opens a device or file to read from.
    ///
    /// # Errors
    /// The kernel's, with the path; a drive without a disk is one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = fs::File::open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, len })
    }

    /// Reads `len` bytes from `offset` on.
    ///
    /// # Errors
    /// They are not all there, or the kernel cannot read them.
    pub(super) fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        end.ok_or_else(|| damaged("it reaches beyond the end of the device"))?;
        let mut bytes = vec![0; len];
        self.file.file().read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// The size of a file, when it may be read.
pub(super) fn allowed(name: &str, size: u64, largest: u64) -> io::Result<usize> {
    if size > largest {
        return Err(damaged(&format!("`{name}` has {size} bytes, over the limit of {largest}")));
    }
    usize::try_from(size).map_err(io::Error::other)
}

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A little-endian number of two bytes; none beyond the end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A little-endian number of four bytes; none beyond the end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
