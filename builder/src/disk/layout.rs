//! The partition table: where each partition of a new disk lies, and reading back the table of any disk.
//!
//! Reading takes outside data: every field is bounded before it is used. It knows nothing of what the partitions hold.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use gptman::{GPT, GPTHeader, GPTPartitionEntry};
use uuid::{Uuid, uuid};

use crate::disk::platform::Platform;
use crate::ground::arch::Arch;
use crate::ground::repro;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;

/// Partition type of the identity partition: the first half of SHA-256("kiln-identity") as a version 8 UUID.
pub const IDENTITY_TYPE: Uuid = uuid!("9c9ab245-5879-8e81-a399-820274aec1e6");

/// Bytes of the identity partition.
pub const IDENTITY_SIZE: u64 = 4 * MIB;

const MIB: u64 = 1 << 20;
const BIOS_BOOT_TYPE: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");

/// The smallest disk: its root partition has 41 MiB, below that ext4's own structures take too much of it.
const MIN_SIZE: u64 = 64 * MIB;

/// Entries of a table and bytes of one: what every partitioning program writes.
const ENTRIES: u32 = 128;
const ENTRY_SIZE: u32 = 128;

/// The most entries of a table that is read.
const MOST_ENTRIES: u32 = 1024;

/// Sectors of the entries, which lie before the header in the copy at the end of the disk.
const COPY_ENTRIES: u64 = (ENTRIES * ENTRY_SIZE) as u64 / SECTOR;

/// Why a partition table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// It could not be read or written.
    #[error("the disk's partition table")]
    Io(#[from] io::Error),
    /// It is none, or its checksums do not match.
    #[error("the disk's partition table")]
    Table(#[from] gptman::Error),
    /// Its header has a value that no partitioning program writes.
    #[error("the disk's partition table has {field} = {value}")]
    Header {
        /// The field, named as in the UEFI specification.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A partition does not lie on the disk.
    #[error("partition {number} (`{name}`) covers sectors {first} to {last}, which are not on the disk")]
    Outside {
        /// Its number, from 1.
        number: usize,
        /// Its label.
        name: String,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
    },
    /// There is no partition.
    #[error("the disk has no partitions")]
    Empty,
    /// There is not exactly one identity partition.
    #[error("the disk has {found} `kiln-identity` partitions instead of one")]
    Identity {
        /// How many there are.
        found: usize,
    },
    /// A new disk would have an impossible size.
    #[error("a disk of {size} bytes is not possible: at least {MIN_SIZE}, in whole MiB")]
    Size {
        /// The size asked for, bytes.
        size: u64,
    },
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its label.
    pub name: String,
    /// Its type.
    pub kind: Uuid,
    /// Its own id (PARTUUID).
    pub id: Uuid,
    /// Its bytes on the disk.
    pub range: Range<u64>,
}

impl Partition {
    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// The table of a new disk, in the order of its partitions. Root is last, so that it can grow.
pub(super) struct Layout {
    pub size: u64,
    pub disk: Uuid,
    /// Where the architecture has machines without UEFI.
    pub bios_boot: Option<Partition>,
    pub esp: Partition,
    pub identity: Partition,
    pub root: Partition,
}

impl Layout {
    /// All ids derive from the key.
    pub(super) fn new(arch: Arch, size: u64, key: &[u8; 32]) -> Result<Self, LayoutError> {
        if size < MIN_SIZE || !size.is_multiple_of(MIB) {
            return Err(LayoutError::Size { size });
        }
        let partition = |name: &str, kind, range| Partition {
            name: name.to_owned(),
            kind,
            id: repro::uuid(key, name),
            range,
        };
        let platform = Platform::of(arch);
        let bios_boot = || partition("bios-boot", BIOS_BOOT_TYPE, MIB..2 * MIB);
        // The last MiB holds the table's copy.
        let end = size - MIB;
        Ok(Self {
            size,
            disk: repro::uuid(key, "disk"),
            bios_boot: platform.bios_format.map(|_| bios_boot()),
            esp: partition("esp", ESP_TYPE, 2 * MIB..18 * MIB),
            identity: partition("kiln-identity", IDENTITY_TYPE, 18 * MIB..18 * MIB + IDENTITY_SIZE),
            root: partition("kiln-root", platform.root_type, 22 * MIB..end),
        })
    }

    /// The partitions in the table's order.
    fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.bios_boot.iter().chain([&self.esp, &self.identity, &self.root])
    }

    /// The number of the root partition, as GRUB counts.
    pub(super) fn root_number(&self) -> usize {
        self.partitions().count()
    }

    /// Writes the protective MBR (not its boot code) and both copies of the table to a disk of [`Layout::size`] bytes.
    pub(super) fn write(&self, disk: &mut (impl Read + Write + Seek)) -> Result<(), LayoutError> {
        let used = self.partitions().map(|partition| GPTPartitionEntry {
            partition_type_guid: partition.kind.to_bytes_le(),
            unique_partition_guid: partition.id.to_bytes_le(),
            starting_lba: partition.range.start / SECTOR,
            ending_lba: partition.range.end / SECTOR - 1,
            attribute_bits: 0,
            partition_name: partition.name.as_str().into(),
        });
        let mut entries: Vec<GPTPartitionEntry> = used.collect();
        entries.resize(ENTRIES as usize, GPTPartitionEntry::empty());
        let mut primary = GPTHeader::new_from(disk, SECTOR, self.disk.to_bytes_le())?;
        // Nothing is usable after root, so systemd-repart has nothing to do on a disk of this size. On an enlarged
        // one it moves the copy and this bound.
        primary.last_usable_lba = self.root.range.end / SECTOR - 1;
        let mut copy = primary.clone();
        copy.primary_lba = primary.backup_lba;
        copy.backup_lba = primary.primary_lba;
        copy.partition_entry_lba = copy.primary_lba - COPY_ENTRIES;
        GPT::write_protective_mbr_into(disk, SECTOR)?;
        primary.write_into(disk, SECTOR, &entries)?;
        copy.write_into(disk, SECTOR, &entries)?;
        Ok(())
    }
}

/// Reads the partitions of a disk from its primary table, in the table's order.
///
/// # Errors
/// [`LayoutError`] when there is no sound table of 512-byte sectors or a partition lies outside the disk.
pub fn read(disk: &mut (impl Read + Seek)) -> Result<Vec<Partition>, LayoutError> {
    Ok(table(disk)?.partitions.into_values().collect())
}

/// A partition table as it stands on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The disk's own id.
    pub id: Uuid,
    /// The partitions by their numbers, from 1.
    pub partitions: BTreeMap<usize, Partition>,
    /// The sector of the other copy's header.
    other: u64,
}

/// Reads the primary table of a disk.
///
/// # Errors
/// As [`read`].
pub fn table(disk: &mut (impl Read + Seek)) -> Result<Table, LayoutError> {
    let size = disk.seek(SeekFrom::End(0))?;
    table_at(disk, size, 1)
}

impl Table {
    /// Whether the copy at the end of the disk says the same.
    ///
    /// # Errors
    /// As [`read`], for the copy.
    pub fn agrees_with_its_copy(&self, disk: &mut (impl Read + Seek)) -> Result<bool, LayoutError> {
        let size = disk.seek(SeekFrom::End(0))?;
        if self.other >= size / SECTOR {
            return Err(LayoutError::Header { field: "AlternateLBA", value: self.other });
        }
        let copy = table_at(disk, size, self.other)?;
        Ok(copy.id == self.id && copy.partitions == self.partitions)
    }
}

/// The table whose header is in a sector.
fn table_at(disk: &mut (impl Read + Seek), size: u64, sector: u64) -> Result<Table, LayoutError> {
    disk.seek(SeekFrom::Start(sector * SECTOR))?;
    let header = GPTHeader::read_from(disk)?;
    // gptman allocates and multiplies with these before it knows whether the entries' checksum is right.
    for (field, value, wanted) in [
        ("NumberOfPartitionEntries", header.number_of_partition_entries, 1..=MOST_ENTRIES),
        ("SizeOfPartitionEntry", header.size_of_partition_entry, ENTRY_SIZE..=ENTRY_SIZE),
    ] {
        if !wanted.contains(&value) {
            return Err(LayoutError::Header { field, value: value.into() });
        }
    }
    if header.partition_entry_lba > size / SECTOR {
        return Err(LayoutError::Header { field: "PartitionEntryLBA", value: header.partition_entry_lba });
    }
    let entries = header.read_partitions(disk, SECTOR)?;
    let used = (1..).zip(entries).filter(|(_, entry)| entry.is_used());
    let partitions = used.map(|(number, entry)| {
        let (first, last) = (entry.starting_lba, entry.ending_lba);
        let name = entry.partition_name.as_str().to_owned();
        if first > last || last >= size / SECTOR {
            return Err(LayoutError::Outside { number, name, first, last });
        }
        let partition = Partition {
            name,
            kind: Uuid::from_bytes_le(entry.partition_type_guid),
            id: Uuid::from_bytes_le(entry.unique_partition_guid),
            range: first * SECTOR..(last + 1) * SECTOR,
        };
        Ok((number, partition))
    });
    let partitions = partitions.collect::<Result<_, _>>()?;
    Ok(Table { id: Uuid::from_bytes_le(header.disk_guid), partitions, other: header.backup_lba })
}

/// The root partition of one of Kiln's disks: the last one.
///
/// # Errors
/// As [`read`]; [`LayoutError::Empty`] when there is none.
pub(super) fn root(disk: &mut (impl Read + Seek)) -> Result<Partition, LayoutError> {
    read(disk)?.pop().ok_or(LayoutError::Empty)
}

/// The identity partition of a disk.
///
/// # Errors
/// As [`read`]; [`LayoutError::Identity`] when there is not exactly one.
pub fn identity(disk: &mut (impl Read + Seek)) -> Result<Partition, LayoutError> {
    let mut found: Vec<Partition> =
        read(disk)?.into_iter().filter(|partition| partition.kind == IDENTITY_TYPE).collect();
    match (found.pop(), found.len()) {
        (Some(partition), 0) => Ok(partition),
        (None, _) => Err(LayoutError::Identity { found: 0 }),
        (Some(_), more) => Err(LayoutError::Identity { found: more + 1 }),
    }
}

#[cfg(test)]
mod tests;
