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
        assert!(matches!(Layout::new(Arch::Amd64, size, &[0; 32]), Err(LayoutError::Size { .. })), "{size}");
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
