//! Looking into disk images, Kiln's and others', without a mount, a root or a network: what is in one, and in which parts
//! two differ.
//!
//! It reads raw disks and qcow2 files with a GPT, an MBR or no table, and ext2, ext3 and ext4. It takes outside data and
//! writes nothing. How a disk of Kiln's comes to be is not known here.

pub mod certificates;
pub mod content;
pub mod diff;
mod error;
pub mod extract;
pub mod files;
mod links;
mod number;
pub mod secrets;
pub mod system;
pub mod table;
pub mod verify;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::Format;
use crate::disk::file::{DiskFile, DiskRange};
use crate::disk::layout::SECTOR;
use crate::ground::error::Result;
use crate::inspect::certificates::{Certificate, IdentityFile};
use crate::inspect::content::Content;
pub use crate::inspect::error::InspectError;
use crate::inspect::files::{FileSystem, Files};
use crate::inspect::system::System;
use crate::inspect::table::{Kind, Partition, Table};

/// An opened disk with its partitions.
pub struct Image {
    /// The disk.
    pub disk: DiskFile,
    /// How it is divided.
    pub table: Table,
    /// What each partition of the table holds.
    pub contents: Vec<Content>,
}

/// A file system of a disk, with all that is in it.
pub struct Root {
    /// The number of its partition.
    pub partition: usize,
    /// The file system.
    pub fs: FileSystem,
    /// Its files.
    pub files: Files,
}

impl Image {
    /// Opens a disk and looks at the begin of each partition.
    ///
    /// # Errors
    /// [`InspectError`], or that of [`DiskFile::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let disk = DiskFile::open(path)?;
        let table = table::read(&disk).map_err(|source| InspectError::table(path, source))?;
        let contents = table.partitions.iter().map(|it| Content::of(&disk.range(it.range.clone())));
        let contents = contents.collect::<std::io::Result<_>>();
        let contents = contents.map_err(|source| InspectError::damaged(path, source))?;
        Ok(Self { disk, table, contents })
    }

    /// The partitions with what they hold.
    pub fn partitions(&self) -> impl Iterator<Item = (&Partition, &Content)> {
        self.table.partitions.iter().zip(&self.contents)
    }

    /// The bytes of a partition.
    #[must_use]
    pub fn range(&self, partition: &Partition) -> DiskRange {
        self.disk.range(partition.range.clone())
    }

    /// What lies outside of all partitions, with a name.
    #[must_use]
    pub fn outside(&self) -> Vec<(String, Range<u64>)> {
        let mut ranges: Vec<_> =
            self.table.partitions.iter().map(|partition| partition.range.clone()).collect();
        ranges.sort_by_key(|range| range.start);
        let (mut at, mut found) = (0, Vec::new());
        for range in ranges.into_iter().chain(std::iter::once(self.disk.size()..self.disk.size())) {
            if at < range.start {
                let name = match at {
                    0 if range.start > SECTOR => vec![
                        ("the first sector".to_owned(), 0..SECTOR),
                        ("before the first partition".to_owned(), SECTOR..range.start),
                    ],
                    _ => vec![(format!("between partitions, from byte {at} on"), at..range.start)],
                };
                found.extend(name);
            }
            at = at.max(range.end);
        }
        found
    }

    /// The identity partition, which Kiln's disks have.
    #[must_use]
    pub fn identity(&self) -> Option<DiskRange> {
        let found = self.table.partitions.iter().find(|it| it.is_identity());
        found.map(|partition| self.range(partition))
    }

    /// Opens a file system: that of a partition's number, else the largest one that can be read.
    ///
    /// # Errors
    /// [`InspectError`] when there is none, or it is damaged.
    pub fn root(&self, number: Option<usize>) -> Result<Root> {
        let path = self.disk.path();
        let readable =
            self.partitions().filter(|(_, content)| content.is_ext()).map(|(partition, _)| partition);
        let partition = match number {
            None => readable.max_by_key(|partition| partition.range.end - partition.range.start),
            Some(number) => readable.into_iter().find(|partition| partition.number == number),
        };
        let Some(partition) = partition else {
            return Err(InspectError::NoFiles { path: path.to_owned(), number }.into());
        };
        let fs = FileSystem::open(&self.range(partition));
        let fs = fs.map_err(|source| InspectError::damaged(path, source))?;
        let files = fs.walk().map_err(|source| InspectError::damaged(path, source))?;
        Ok(Root { partition: partition.number, fs, files })
    }
}

/// What is in an image: the report of `builder inspect`.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Bytes of the file.
    pub file_size: u64,
    /// Bytes of the disk.
    pub size: u64,
    /// How the disk is divided.
    pub table: Kind,
    /// The disk's id.
    pub id: Option<String>,
    /// Whether both copies of a GPT say the same.
    pub copies_agree: Option<bool>,
    /// What boots it.
    pub boot: Boot,
    /// The partitions.
    pub partitions: Vec<Held>,
    /// What is installed in its largest file system.
    pub system: Option<System>,
    /// Why its files are not read, where it has some.
    pub unread: Option<String>,
    /// How many snapshots the file holds besides the disk; they are not looked into.
    pub snapshots: u32,
    /// The files of its identity partition.
    pub identities: Vec<IdentityFile>,
    /// The certificates in it.
    pub certificates: Vec<Certificate>,
}

/// What boots an image.
#[derive(Debug, Serialize)]
pub struct Boot {
    /// The boot loader in the first sector, for machines with a BIOS.
    pub bios: Option<&'static str>,
    /// Whether there is an EFI system partition.
    pub efi: bool,
}

/// A partition with what it holds.
#[derive(Debug, Serialize)]
pub struct Held {
    /// Its number, from 1; 0 is the whole disk.
    pub number: usize,
    /// Its label.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What its type is called.
    pub type_name: Option<&'static str>,
    /// Its own id (PARTUUID).
    pub id: String,
    /// Its first byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// What it holds.
    pub content: Content,
}

impl Inspection {
    /// Looks at an image.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn of(image: &Image) -> Result<Self> {
        let path = image.disk.path();
        let damaged = |source| InspectError::damaged(path, source);
        let root = image.partitions().any(|(_, content)| content.is_ext()).then(|| image.root(None));
        // A file system that is not read here hides nothing of the rest.
        let (root, unread) = match root.transpose() {
            Ok(root) => (root, None),
            Err(error) => (None, Some(error.fact())),
        };
        let (mut system, mut certificates) = (None, Vec::new());
        if let Some(Root { fs, files, .. }) = &root {
            let found = System::of(fs, files).map_err(damaged)?;
            certificates = certificates::of_files(fs, files, &found.owners).map_err(damaged)?;
            system = Some(found);
        }
        let mut identities = Vec::new();
        if let Some(identity) = image.identity() {
            let found = certificates::of_identities(&identity).map_err(damaged)?;
            certificates.extend(found.certificates);
            identities = found.files;
        }
        Ok(Self {
            path: path.to_owned(),
            format: image.disk.format(),
            file_size: fs_err::metadata(path)?.len(),
            size: image.disk.size(),
            table: image.table.kind,
            id: image.table.id.clone(),
            copies_agree: image.table.copies_agree,
            boot: boot(image).map_err(damaged)?,
            partitions: image.partitions().map(held).collect(),
            system,
            unread,
            snapshots: image.disk.snapshots(),
            identities,
            certificates,
        })
    }
}

fn boot(image: &Image) -> std::io::Result<Boot> {
    let mut first = [0; 440];
    image.disk.range(0..440).read_at(0, &mut first[..image.disk.size().min(440) as usize])?;
    let has = |text: &[u8]| first.windows(text.len()).any(|window| window == text);
    let loaders = [("GRUB", &b"GRUB"[..]), ("syslinux", b"Missing operating system"), ("LILO", b"LILO")];
    let bios = loaders.into_iter().find(|(_, text)| has(text)).map(|(name, _)| name);
    let efi = image.table.partitions.iter().any(|it| it.type_name() == Some("EFI system"));
    Ok(Boot { bios, efi })
}

fn held((partition, content): (&Partition, &Content)) -> Held {
    Held {
        number: partition.number,
        name: partition.name.escape_debug().to_string(),
        kind: partition.kind.clone(),
        type_name: partition.type_name(),
        id: partition.id.clone(),
        start: partition.range.start,
        size: partition.range.end - partition.range.start,
        content: content.clone(),
    }
}
