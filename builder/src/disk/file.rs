//! The file of a disk, opened to be read only: raw bytes, or a qcow2 image of any program. Whoever reads the disk sees its
//! bytes at their offsets.
//!
//! It owns which formats there are and how one is known; partitions and what they hold are others' business. It opens
//! one file and follows no name in it: what an image says of other files may be anything.

mod error;
mod qcow2;

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

use crate::disk::Format;
pub use crate::disk::file::error::{DiskFileError, Fault, LARGEST};
use crate::disk::file::qcow2::Qcow2;
use crate::disk::header::MAGIC;
use crate::ground::sparse;

/// How files of other formats begin, and their names.
const OTHERS: [(&[u8], &str); 9] = [
    (b"KDMV", "a VMDK"),
    (b"# Disk DescriptorFile", "a VMDK's description"),
    (b"vhdxfile", "a VHDX"),
    (b"conectix", "a VHD"),
    (b"<<< ", "a VDI"),
    (b"QED\0", "a QED"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x1f\x8b", "compressed with gzip"),
];

/// An opened disk. Clones share it.
#[derive(Debug, Clone)]
pub struct DiskFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    /// Bytes of the disk.
    size: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Raw(fs::File),
    Qcow2(Qcow2),
}

impl DiskFile {
    /// Opens a file. What begins as no known format is raw, if it has whole sectors.
    ///
    /// # Errors
    /// [`DiskFileError`] when it cannot be read, is of another format, or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, DiskFileError> {
        let wrong = |fault| DiskFileError::Wrong { path: path.to_owned(), fault };
        // Asked before it is opened: a pipe would wait for its writer.
        if !fs::metadata(path)?.is_file() {
            return Err(wrong(Fault::NoFile));
        }
        let file = fs::File::open(path)?;
        let mut head = Vec::new();
        (&file).take(64).read_to_end(&mut head)?;
        if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(wrong(Fault::Other(name)));
        }
        let (size, bytes) = if head.starts_with(MAGIC) {
            let image = Qcow2::open(file).map_err(wrong)?;
            (image.size(), Bytes::Qcow2(image))
        } else {
            (file.metadata()?.len(), Bytes::Raw(file))
        };
        if size == 0 || size > LARGEST {
            return Err(wrong(Fault::Size(size)));
        }
        Ok(Self(Arc::new(Opened { path: path.to_owned(), size, bytes })))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Bytes of the disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The format of the file.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.0.bytes {
            Bytes::Raw(_) => Format::Raw,
            Bytes::Qcow2(_) => Format::Qcow2,
        }
    }

    /// How many snapshots the file holds besides the disk; they are not read.
    #[must_use]
    pub fn snapshots(&self) -> u32 {
        match &self.0.bytes {
            Bytes::Raw(_) => 0,
            Bytes::Qcow2(image) => image.snapshots(),
        }
    }

    /// Reads bytes of the disk.
    ///
    /// # Errors
    /// When they are not all on the disk, the file cannot be read, or it contradicts itself there.
    pub fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.0.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.0.bytes {
            Bytes::Raw(file) => file.file().read_exact_at(buffer, at),
            Bytes::Qcow2(image) => image.read_at(at, buffer),
        }
    }

    /// Where the parts of a size begin that may hold data, from the disk's begin; all others are zeros.
    ///
    /// # Errors
    /// As [`DiskFile::read_at`].
    pub fn filled(&self, part: u64) -> io::Result<BTreeSet<u64>> {
        match &self.0.bytes {
            Bytes::Raw(file) => sparse::blocks(file, part),
            Bytes::Qcow2(image) => image.filled(part),
        }
    }

    /// A reader of a range of the disk; what lies outside of the disk is not in it.
    #[must_use]
    pub fn range(&self, range: Range<u64>) -> DiskRange {
        let end = range.end.min(self.0.size);
        DiskRange { disk: self.clone(), range: range.start.min(end)..end, at: 0 }
    }
}

/// Some of a disk, read from its begin to its end.
#[derive(Debug, Clone)]
pub struct DiskRange {
    disk: DiskFile,
    range: Range<u64>,
    /// From its begin.
    at: u64,
}

impl DiskRange {
    /// Bytes of it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Another range of the same disk, by the disk's bytes.
    #[must_use]
    pub fn within(&self, range: Range<u64>) -> Self {
        self.disk.range(range)
    }

    /// Where it begins on the disk.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.range.start
    }

    /// Reads bytes, at an offset from its begin.
    ///
    /// # Errors
    /// As [`DiskFile::read_at`], and when they are not all in it.
    pub fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.disk.read_at(self.range.start + at, buffer)
    }

    /// Where its parts of a size begin that may hold data, from its begin.
    ///
    /// # Errors
    /// As [`DiskFile::read_at`].
    pub fn filled(&self, part: u64) -> io::Result<BTreeSet<u64>> {
        let mut found = BTreeSet::new();
        for at in self.disk.filled(part)? {
            // A part of the disk is in one or two of its own.
            let (from, to) = (at.max(self.range.start), (at + part).min(self.range.end));
            if from < to {
                let (from, last) = (from - self.range.start, to - 1 - self.range.start);
                found.extend([from - from % part, last - last % part]);
            }
        }
        Ok(found)
    }
}

impl Read for DiskRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (self.size().saturating_sub(self.at)).min(buffer.len() as u64) as usize;
        self.read_at(self.at.min(self.size()), &mut buffer[..length])?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for DiskRange {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
