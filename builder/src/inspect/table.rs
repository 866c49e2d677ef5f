//! The partitions of any disk: by a GPT, by an MBR with logical partitions, or one file system that is the whole disk.
//!
//! An MBR is read here: the crate for it adds numbers of the disk without a check, and there are four entries.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use serde::Serialize;

use crate::disk::file::DiskFile;
use crate::disk::layout::{self, IDENTITY_TYPE, LayoutError, SECTOR};
use crate::inspect::number::u32_at;

/// How a disk is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A GUID partition table (UEFI specification, section 5.3).
    Gpt,
    /// A master boot record.
    Mbr,
    /// Not at all: the whole disk is taken as one partition.
    None,
}

/// A disk's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What they are by.
    pub kind: Kind,
    /// The disk's id: a GUID, or the eight digits of an MBR's signature.
    pub id: Option<String>,
    /// Whether both copies of a GPT say the same; none where there is one.
    pub copies_agree: Option<bool>,
    /// The partitions, by their numbers.
    pub partitions: Vec<Partition>,
}

/// One partition of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1; 0 is the whole disk.
    pub number: usize,
    /// Its label, empty in an MBR.
    pub name: String,
    /// Its type: a GUID, or an MBR's `0x83`.
    pub kind: String,
    /// Its own id (PARTUUID).
    pub id: String,
    /// Its bytes on the disk.
    pub range: Range<u64>,
}

/// The types that people know by name, of both tables.
const TYPES: [(&str, &str); 15] = [
    ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI system"),
    ("21686148-6449-6e6f-744e-656564454649", "BIOS boot"),
    ("0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux"),
    ("4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root, x86-64"),
    ("b921b045-1df0-41c3-af44-4c6f280d3fae", "Linux root, arm64"),
    ("bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux boot"),
    ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap"),
    ("933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home"),
    ("e6d6d379-f507-44c2-a23c-238f2a3df928", "LVM"),
    ("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "basic data"),
    ("0x83", "Linux"),
    ("0x82", "Linux swap"),
    ("0x8e", "LVM"),
    ("0xef", "EFI system"),
    ("0x0c", "FAT32"),
];

impl Partition {
    /// Whether it holds the identities of a role's nodes.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.kind == IDENTITY_TYPE.to_string()
    }

    /// What a type is called, where people know it by name.
    #[must_use]
    pub fn type_name(&self) -> Option<&'static str> {
        if self.is_identity() {
            return Some("Kiln's identities");
        }
        TYPES.iter().find(|(kind, _)| *kind == self.kind).map(|(_, name)| *name)
    }
}

/// The most logical partitions that are read.
const MOST_LOGICAL: usize = 128;

/// Reads the table of a disk.
///
/// # Errors
/// When the disk cannot be read, or has a damaged table.
pub fn read(disk: &DiskFile) -> Result<Table, LayoutError> {
    let whole = Partition {
        number: 0,
        name: String::new(),
        kind: String::new(),
        id: String::new(),
        range: 0..disk.size(),
    };
    let whole = Table { kind: Kind::None, id: None, copies_agree: None, partitions: vec![whole] };
    let Some(first) = sector(disk, 0)?.filter(|first| first[510..] == [0x55, 0xaa]) else {
        return Ok(whole);
    };
    let entries = entries(&first);
    // A protective entry says that there is a GPT.
    if entries.iter().any(|entry| entry.kind == 0xee) {
        return gpt(disk);
    }
    // A file system's boot sector ends as an MBR does.
    let is_fat = first[54..57] == *b"FAT" || first[82..85] == *b"FAT";
    let is_table = (0..4).all(|index| matches!(first[446 + 16 * index], 0 | 0x80));
    if is_fat || !is_table || entries.iter().all(|entry| entry.kind == 0) {
        return Ok(whole);
    }
    mbr(disk, &first, &entries)
}

fn gpt(disk: &DiskFile) -> Result<Table, LayoutError> {
    let mut reader = disk.range(0..disk.size());
    let table = layout::table(&mut reader)?;
    let agrees = table.agrees_with_its_copy(&mut reader).unwrap_or(false);
    let partitions = table.partitions.iter().map(|(number, partition)| Partition {
        number: *number,
        name: partition.name.clone(),
        kind: partition.kind.to_string(),
        id: partition.id.to_string(),
        range: partition.range.clone(),
    });
    let partitions = partitions.collect();
    Ok(Table { kind: Kind::Gpt, id: Some(table.id.to_string()), copies_agree: Some(agrees), partitions })
}

/// An entry of a boot record, in sectors.
struct Entry {
    kind: u8,
    start: u64,
    count: u64,
}

impl Entry {
    fn is_extended(&self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

fn mbr(disk: &DiskFile, first: &[u8; 512], entries: &[Entry; 4]) -> Result<Table, LayoutError> {
    let signature = format!("{:08x}", u32_at(first, 440));
    let mut partitions = Vec::new();
    let mut put = |number: usize, start: u64, entry: &Entry| {
        let range = start * SECTOR..(start + entry.count) * SECTOR;
        if range.is_empty() || range.end > disk.size() {
            let (name, last) = (format!("0x{:02x}", entry.kind), (range.end / SECTOR).saturating_sub(1));
            return Err(LayoutError::Outside { number, name, first: start, last });
        }
        let (kind, id) = (format!("0x{:02x}", entry.kind), format!("{signature}-{number:02x}"));
        partitions.push(Partition { number, name: String::new(), kind, id, range });
        Ok(())
    };
    for (number, entry) in (1..).zip(entries).filter(|(_, entry)| entry.kind != 0 && !entry.is_extended()) {
        put(number, entry.start, entry)?;
    }
    if let Some(extended) = entries.iter().find(|entry| entry.is_extended()) {
        for (number, (start, entry)) in (5..).zip(logical(disk, extended.start)?) {
            put(number, start, &entry)?;
        }
    }
    Ok(Table { kind: Kind::Mbr, id: Some(signature), copies_agree: None, partitions })
}

/// The logical partitions of an extended one: a chain of boot records, each with a partition and the way to the next.
fn logical(disk: &DiskFile, extended: u64) -> io::Result<Vec<(u64, Entry)>> {
    let (mut found, mut seen, mut at) = (Vec::new(), BTreeSet::new(), extended);
    while found.len() < MOST_LOGICAL && seen.insert(at) {
        let Some(record) = sector(disk, at)?.filter(|record| record[510..] == [0x55, 0xaa]) else { break };
        let [partition, next, ..] = entries(&record);
        if partition.kind != 0 {
            found.push((at + partition.start, partition));
        }
        if !next.is_extended() {
            break;
        }
        at = extended + next.start;
    }
    Ok(found)
}

/// A sector of the disk; none behind its end.
fn sector(disk: &DiskFile, number: u64) -> io::Result<Option<[u8; 512]>> {
    let mut bytes = [0; 512];
    if (number + 1) * SECTOR > disk.size() {
        return Ok(None);
    }
    disk.read_at(number * SECTOR, &mut bytes)?;
    Ok(Some(bytes))
}

fn entries(record: &[u8; 512]) -> [Entry; 4] {
    [0, 1, 2, 3].map(|index| {
        let at = 446 + 16 * index;
        Entry {
            kind: record[at + 4],
            start: u32_at(record, at + 8).into(),
            count: u32_at(record, at + 12).into(),
        }
    })
}
