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
mod tests {
    use std::io::Cursor;
    use std::sync::LazyLock;

    use insta::assert_snapshot;
    use proptest::prelude::{any, prop, proptest};

    use super::{Layout, LayoutError, MIB, identity, read, table, table_at};
    use crate::ground::arch::Arch;

    const SIZE: u64 = 64 * MIB;

    fn disk() -> Vec<u8> {
        let mut disk = Cursor::new(vec![0; SIZE as usize]);
        Layout::new(Arch::Amd64, SIZE, &[7; 32]).unwrap().write(&mut disk).unwrap();
        disk.into_inner()
    }

    /// Bytes of the MBR and the primary table.
    const HEAD: usize = 34 * 512;

    fn head() -> Vec<u8> {
        static HEAD_BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| disk()[..HEAD].to_vec());
        HEAD_BYTES.clone()
    }

    fn forged(at: usize, bytes: &[u8]) -> Vec<u8> {
        forge(disk(), at, bytes)
    }

    /// Sets bytes of the primary header or entries and mends both checksums, as an attacker would.
    fn forge(mut disk: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        let entries = crc32fast::hash(&disk[1024..1024 + 128 * 128]);
        disk[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
        disk[512 + 16..512 + 20].fill(0);
        let header = crc32fast::hash(&disk[512..512 + 92]);
        disk[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
        disk
    }

    fn said(disk: &[u8]) -> String {
        let error = identity(&mut Cursor::new(disk)).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    }

    #[test]
    fn a_new_table_reads_back() {
        let layout = Layout::new(Arch::Amd64, SIZE, &[7; 32]).unwrap();
        let found = read(&mut Cursor::new(disk())).unwrap();
        let lines: Vec<String> = found
            .iter()
            .map(|p| format!("{} {} {} {}+{}", p.name, p.kind, p.id, p.range.start / 1024, p.size() / 1024))
            .collect();
        assert_snapshot!(lines.join("\n"), @r"
        bios-boot 21686148-6449-6e6f-744e-656564454649 31d47bd2-3a5c-8a19-b5c3-db11ff3b60dd 1024+1024
        esp c12a7328-f81f-11d2-ba4b-00a0c93ec93b 726249b1-4439-8b3d-81f1-b60eda9265b4 2048+16384
        kiln-identity 9c9ab245-5879-8e81-a399-820274aec1e6 effb51fc-5f44-8b6b-8cb1-b4f48ee04a31 18432+4096
        kiln-root 4f68bce3-e8cd-4db1-96e7-fbcaf984b709 3b8bed19-2cd6-8f2b-9ef4-52750afe6ff4 22528+41984
        ");
        assert_eq!(found, layout.partitions().cloned().collect::<Vec<_>>());
        assert_eq!(identity(&mut Cursor::new(disk())).unwrap(), layout.identity);
    }

    #[test]
    fn a_changed_copy_is_noticed() {
        let mut disk = disk();
        let (size, table) = (disk.len(), table(&mut Cursor::new(&disk)).unwrap());
        assert!(table.agrees_with_its_copy(&mut Cursor::new(&disk)).unwrap());
        disk[size - 33 * 512] ^= 1;
        table.agrees_with_its_copy(&mut Cursor::new(&disk)).unwrap_err();
        disk[size - 512..].fill(0);
        table.agrees_with_its_copy(&mut Cursor::new(&disk)).unwrap_err();
    }

    #[test]
    fn the_key_decides_every_id() {
        let ids = |key| {
            let layout = Layout::new(Arch::Amd64, SIZE, &[key; 32]).unwrap();
            let partitions = layout.partitions().map(|partition| partition.id);
            partitions.chain([layout.disk]).collect::<Vec<_>>()
        };
        assert_eq!(ids(1), ids(1));
        assert!(ids(1).iter().all(|id| !ids(2).contains(id)));
    }

    #[test]
    fn without_a_bios_there_is_no_partition_for_it() {
        let layout = Layout::new(Arch::Arm64, SIZE, &[7; 32]).unwrap();
        let names: Vec<&str> = layout.partitions().map(|partition| partition.name.as_str()).collect();
        assert_eq!((names.join(" ").as_str(), layout.root_number()), ("esp kiln-identity kiln-root", 3));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for size in [0, 63 * MIB, SIZE + 512, u64::MAX] {
            assert!(
                matches!(Layout::new(Arch::Amd64, size, &[0; 32]), Err(LayoutError::Size { .. })),
                "{size}"
            );
        }
    }

    #[test]
    fn bad_tables_are_named() {
        const ENTRY_1: usize = 1024;
        const ENTRY_3: usize = 1024 + 2 * 128;
        let mut flipped = disk();
        flipped[ENTRY_1 + 40] ^= 1;
        let corpus = [
            ("empty file", said(&[])),
            ("no table", said(&vec![0; SIZE as usize])),
            ("cut off in the table", said(&disk()[..1500])),
            ("bit flipped in an entry", said(&flipped)),
            ("many entries", said(&forged(512 + 80, &u32::MAX.to_le_bytes()))),
            ("no entries", said(&forged(512 + 80, &0u32.to_le_bytes()))),
            ("tiny entries", said(&forged(512 + 84, &1u32.to_le_bytes()))),
            ("entries far away", said(&forged(512 + 72, &u64::MAX.to_le_bytes()))),
            ("starts after its end", said(&forged(ENTRY_1 + 32, &u64::MAX.to_le_bytes()))),
            ("ends beyond the disk", said(&forged(ENTRY_1 + 40, &u64::MAX.to_le_bytes()))),
            ("ends one sector beyond", said(&forged(ENTRY_1 + 40, &(SIZE / 512).to_le_bytes()))),
            ("no identity", said(&forged(ENTRY_3, &[1; 16]))),
            ("two identities", said(&forged(ENTRY_1, &super::IDENTITY_TYPE.to_bytes_le()))),
        ];
        let lines: Vec<String> = corpus.iter().map(|(what, said)| format!("{what}: {said}")).collect();
        assert_snapshot!(lines.join("\n"), @r"
        empty file: the disk's partition table: generic I/O error
        no table: the disk's partition table: invalid signature
        cut off in the table: the disk's partition table: generic I/O error
        bit flipped in an entry: the disk's partition table: corrupted partition entry array CRC32 checksum (2118697750 != 2861656480)
        many entries: the disk's partition table has NumberOfPartitionEntries = 4294967295
        no entries: the disk's partition table has NumberOfPartitionEntries = 0
        tiny entries: the disk's partition table has SizeOfPartitionEntry = 1
        entries far away: the disk's partition table has PartitionEntryLBA = 18446744073709551615
        starts after its end: partition 1 (`bios-boot`) covers sectors 18446744073709551615 to 4095, which are not on the disk
        ends beyond the disk: partition 1 (`bios-boot`) covers sectors 2048 to 18446744073709551615, which are not on the disk
        ends one sector beyond: partition 1 (`bios-boot`) covers sectors 2048 to 131072, which are not on the disk
        no identity: the disk has 0 `kiln-identity` partitions instead of one
        two identities: the disk has 2 `kiln-identity` partitions instead of one
        ");
    }

    proptest! {
        #[test]
        fn reading_never_panics(at in 512usize..HEAD, bytes in prop::collection::vec(any::<u8>(), 1..64)) {
            let at = at.min(HEAD - bytes.len());
            if let Ok(table) = table_at(&mut Cursor::new(forge(head(), at, &bytes)), SIZE, 1) {
                assert!(table.partitions.values().all(|p| p.range.start < p.range.end && p.range.end <= SIZE));
            }
        }
    }
}
