//! Read-only FAT and ISO 9660 file systems, as far as a seed needs them: the volume's label, and files in its top
//! folder by name. Nothing is mounted, so a hostile disk meets this code and not the kernel's. Every read is bounded.

mod fat;
mod iso;

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
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        end.ok_or_else(|| damaged("it reaches beyond the end of the device"))?;
        let mut bytes = vec![0; len];
        self.file.file().read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// A file system that was recognised.
#[derive(Debug)]
pub enum Volume {
    /// FAT.
    Fat(fat::Fat),
    /// ISO 9660.
    Iso(iso::Iso),
}

impl Volume {
    /// Recognises the file system of a device. `None` when it is none of the two.
    ///
    /// # Errors
    /// The device cannot be read, or its file system is damaged.
    pub fn recognise(device: &Device) -> io::Result<Option<Self>> {
        if let Some(iso) = iso::Iso::recognise(device)? {
            return Ok(Some(Self::Iso(iso)));
        }
        Ok(fat::Fat::recognise(device)?.map(Self::Fat))
    }

    /// Whether its label is `label` in whatever case; FAT may have two.
    pub fn is_called(&self, device: &Device, label: &str) -> bool {
        let labels = match self {
            Self::Fat(fat) => fat.labels(device),
            Self::Iso(iso) => vec![iso.label()],
        };
        labels.iter().any(|name| name.eq_ignore_ascii_case(label))
    }

    /// Reads the file `name` of the top folder; `None` when there is none.
    ///
    /// # Errors
    /// The device cannot be read, its file system is damaged, or the file is larger than `largest` bytes.
    pub fn read(&self, device: &Device, name: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Fat(fat) => fat.read(device, name, largest),
            Self::Iso(iso) => iso.read(device, name, largest),
        }
    }
}

/// The size of a file, when it may be read.
fn allowed(name: &str, size: u64, largest: u64) -> io::Result<usize> {
    if size > largest {
        return Err(damaged(&format!("`{name}` has {size} bytes, over the limit of {largest}")));
    }
    usize::try_from(size).map_err(io::Error::other)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A little-endian number of two bytes; none beyond the end.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A little-endian number of four bytes; none beyond the end.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
