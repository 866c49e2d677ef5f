//! Disks of other programs, read as they are; then with bytes changed and ends cut off: whatever a file holds, what looks
//! into it says an error, and neither panics nor takes more memory than a sound disk would.

use std::path::{Path, PathBuf};

use builder::disk::file::DiskFile;
use builder::inspect::diff::diff;
use builder::inspect::files::{FileSystem, Kind, shown};
use builder::inspect::verify::{Secrets, verify};
use builder::inspect::{Image, Inspection};
use fs_err as fs;

const DISKS: [&str; 3] = ["gpt-ext4", "mbr-ext3", "none-ext2"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/disks").join(format!("{name}.qcow2"))
}

#[test]
fn three_disks_hold_what_was_put_there() {
    for name in DISKS {
        let image = Image::open(&fixture(name)).unwrap();
        let root = image.root(None).unwrap();
        let paths: Vec<String> = root.files.keys().map(|path| shown(path)).collect();
        assert_eq!(paths.iter().filter(|path| path.starts_with("/etc/many/a-name")).count(), 80, "{name}");
        let node = |path: &str| &root.files[path.as_bytes()];
        let bytes = |path: &str| root.fs.bytes(path.as_bytes(), 1 << 20).unwrap();
        assert_eq!(node("etc/link").kind, Kind::Link(b"os-release".to_vec()));
        assert_eq!((node("bin/sh").links, node("bin/sh").inode), (2, node("bin/dash").inode));
        assert_eq!((node("etc/many").kind.clone(), node("etc/many").size), (Kind::Folder, 4096));
        assert_eq!(bytes("bin/dash"), b"\x7fELF and more");
        assert_eq!(bytes("etc/holes"), [&[0; 100 << 10][..], b"end"].concat());
        assert_eq!(node("etc/os-release").mode, 0o644);
        let has_more = name == "gpt-ext4";
        if has_more {
            let note = [("user.note".to_owned(), b"a-note".to_vec())];
            assert_eq!(node("etc/os-release").attributes, note.into());
            assert_eq!(node("etc/null").kind, Kind::Device('c', 1, 3));
        }
        let found = Inspection::of(&image).unwrap();
        assert_eq!(found.system.unwrap().name.unwrap(), "Small 1");
        assert!(found.partitions.iter().any(|it| it.content.label.as_deref() == Some("small")), "{name}");
        assert_eq!(diff(&image, &image).unwrap(), []);
    }
}

/// Everything that looks into an image does so.
fn look(path: &Path, sound: &Image) {
    let _ = verify(path, Secrets::None);
    let Ok(image) = Image::open(path) else { return };
    let _ = Inspection::of(&image);
    let _ = diff(sound, &image);
    for partition in &image.table.partitions {
        if let Ok(fs) = FileSystem::open(&image.range(partition)) {
            let _ = fs.walk();
        }
    }
}

/// A sequence of numbers that looks random and is the same in every run (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// A qcow2 file as it is, or the raw disk in it.
struct Subject {
    sound: Image,
    bytes: Vec<u8>,
    /// Where its bytes are not all zeros: most changes go there.
    filled: Vec<usize>,
}

impl Subject {
    fn all() -> Vec<Self> {
        let of = |name: &&str| {
            let path = fixture(name);
            let disk = DiskFile::open(&path).unwrap();
            let mut raw = vec![0; disk.size() as usize];
            disk.read_at(0, &mut raw).unwrap();
            [fs::read(&path).unwrap(), raw].map(|bytes| {
                let filled = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
                Self { sound: Image::open(&path).unwrap(), bytes, filled }
            })
        };
        DISKS.iter().flat_map(of).collect()
    }

    /// Some bytes changed, or the end cut off.
    fn changed(&self, numbers: &mut Numbers) -> Vec<u8> {
        const TELLING: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
        let mut bytes = self.bytes.clone();
        for _ in 0..=numbers.below(8) {
            let near = self.filled[numbers.below(self.filled.len())] + numbers.below(16);
            let value = match numbers.below(3) {
                0 => TELLING[numbers.below(TELLING.len())],
                _ => numbers.below(256) as u8,
            };
            let at = near.min(bytes.len() - 1);
            bytes[at] = value;
        }
        if numbers.below(10) == 0 {
            bytes.truncate(numbers.below(bytes.len()));
        }
        bytes
    }
}

/// The most memory that this process ever had, MiB.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

fn mutate(count: usize) {
    let subjects = Subject::all();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for index in 0..count {
        let subject = &subjects[index % subjects.len()];
        fs::write(&path, subject.changed(&mut numbers)).unwrap();
        look(&path, &subject.sound);
    }
    let memory = most_memory();
    assert!(memory < 512, "{memory} MiB");
}

#[test]
fn changed_disks_are_looked_into_without_a_panic() {
    mutate(1_000);
}

#[test]
#[ignore = "./test long: 100 000 disks"]
fn many_changed_disks_are_looked_into_without_a_panic() {
    mutate(100_000);
}
