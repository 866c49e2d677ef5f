//! Seeds for tests: an ISO 9660 image made of texts, and images that other programs made.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use fs_err as fs;

use super::World;

const SECTOR: usize = 2048;
/// Sector of the top folder.
const TOP: usize = 18;

/// Images of one seed, by genisoimage, xorriso and mkfs.vfat with mcopy.
pub const MADE: [&str; 7] = ["fat12", "fat16", "fat32", "joliet", "rock", "rock-joliet", "xorriso"];

/// An image that another program made.
pub fn made(name: &str) -> Vec<u8> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seeds").join(format!("{name}.img.gz"));
    let mut image = Vec::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut image).unwrap();
    image
}

/// An ISO 9660 image with Rock Ridge names.
pub fn iso(label: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut image = vec![0; (TOP + 1) * SECTOR];
    let mut folder = record(TOP, SECTOR, 2, b"\0", "");
    folder.extend(record(TOP, SECTOR, 2, b"\x01", ""));
    for (index, (name, content)) in files.iter().enumerate() {
        let sector = image.len() / SECTOR;
        folder.extend(record(sector, content.len(), 0, format!("F{index}.;1").as_bytes(), name));
        image.extend_from_slice(content);
        image.resize(image.len().next_multiple_of(SECTOR), 0);
    }
    assert!(folder.len() <= SECTOR);
    image[TOP * SECTOR..][..folder.len()].copy_from_slice(&folder);
    let first = &mut image[16 * SECTOR..17 * SECTOR];
    first[..8].copy_from_slice(b"\x01CD001\x01\0");
    first[40..72].fill(b' ');
    first[40..40 + label.len()].copy_from_slice(label.as_bytes());
    first[128..132].copy_from_slice(&[0, 8, 8, 0]);
    first[156..190].copy_from_slice(&record(TOP, SECTOR, 2, b"\0", ""));
    image[17 * SECTOR..][..7].copy_from_slice(b"\xffCD001\x01");
    image
}

fn record(sector: usize, size: usize, flags: u8, identifier: &[u8], name: &str) -> Vec<u8> {
    let mut record = vec![0; 33];
    record[2..6].copy_from_slice(&(sector as u32).to_le_bytes());
    record[10..14].copy_from_slice(&(size as u32).to_le_bytes());
    record[25] = flags;
    record[32] = identifier.len() as u8;
    record.extend_from_slice(identifier);
    record.resize(record.len().next_multiple_of(2), 0);
    if !name.is_empty() {
        record.extend([b'N', b'M', 5 + name.len() as u8, 1, 0]);
        record.extend_from_slice(name.as_bytes());
        record.resize(record.len().next_multiple_of(2), 0);
    }
    record[0] = record.len() as u8;
    record
}

impl World {
    /// Attaches a disk.
    pub fn disk(&self, name: &str, image: &[u8]) {
        self.put(&format!("sys/class/block/{name}/dev"), b"11:0\n");
        self.put(&format!("dev/{name}"), image);
    }

    /// Attaches a seed with these files.
    pub fn seed(&self, files: &[(&str, &str)]) {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        self.disk("sr0", &iso("cidata", &files));
    }

    /// Takes the seed away.
    pub fn detach(&self) {
        fs::remove_dir_all(self.path("sys/class/block/sr0")).unwrap();
        fs::remove_file(self.path("dev/sr0")).unwrap();
    }
}

/// A key of SSH.
pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPyP somebody@example.org";
