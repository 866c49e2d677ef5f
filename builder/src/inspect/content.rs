//! What a partition holds, by its first bytes: the name that `blkid` gives it, its UUID and its label.

use std::io;

use serde::Serialize;

use crate::disk::file::DiskRange;
use crate::inspect::number::u32_at;

/// What a partition holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// `ext4`, `vfat`, `tar`; none when nothing here is known.
    pub kind: Option<&'static str>,
    /// The file system's own id.
    pub uuid: Option<String>,
    /// Its label.
    pub label: Option<String>,
}

/// Magic numbers: the name, the offset and the bytes there.
const MAGICS: [(&str, usize, &[u8]); 11] = [
    ("xfs", 0, b"XFSB"),
    ("squashfs", 0, b"hsqs"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("crypto_LUKS", 0, b"LUKS\xba\xbe"),
    ("ntfs", 3, b"NTFS    "),
    ("tar", 257, b"ustar"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("LVM2_member", 512, b"LABELONE"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("iso9660", 0x8001, b"CD001"),
    ("zfs_member", 0x20000, b"\x0c\xb1\xba\0"),
];

/// Bytes of the begin that are looked at.
const LOOKED_AT: u64 = 0x20010;

impl Content {
    /// Looks at the begin of a partition.
    ///
    /// # Errors
    /// When the disk cannot be read there.
    pub fn of(partition: &DiskRange) -> io::Result<Self> {
        let mut head = vec![0; partition.size().min(LOOKED_AT) as usize];
        partition.read_at(0, &mut head)?;
        // What is shorter is read as if zeros followed.
        head.resize(LOOKED_AT as usize, 0);
        if head[1080..1082] == [0x53, 0xef] {
            return Ok(ext(&head[1024..2048]));
        }
        if let Some(found) = fat(&head) {
            return Ok(found);
        }
        let known = MAGICS.iter().find(|(_, at, magic)| head[*at..].starts_with(magic));
        Ok(Self { kind: known.map(|(kind, ..)| *kind), ..Self::default() })
    }

    /// Whether it is a file system that can be read here.
    #[must_use]
    pub fn is_ext(&self) -> bool {
        self.kind.is_some_and(|kind| kind.starts_with("ext"))
    }
}

/// By the [superblock](https://docs.kernel.org/filesystems/ext4/super.html).
fn ext(superblock: &[u8]) -> Content {
    let (has_journal, has_extents) = (u32_at(superblock, 92) & 4 != 0, u32_at(superblock, 96) & 0x40 != 0);
    let kind = match (has_extents, has_journal) {
        (true, _) => "ext4",
        (false, true) => "ext3",
        (false, false) => "ext2",
    };
    let uuid = uuid::Uuid::from_slice(&superblock[104..120]).ok().map(|uuid| uuid.to_string());
    Content { kind: Some(kind), uuid, label: label(&superblock[120..136]) }
}

/// By the boot sector; FAT32 has its fields behind those of the others.
fn fat(head: &[u8]) -> Option<Content> {
    let at =
        [(54, 39), (82, 67)].into_iter().find(|(at, _)| head[*at..].starts_with(b"FAT")).map(|it| it.1)?;
    let serial = [3, 2, 1, 0].map(|index| head[at + index]);
    let serial = format!("{:02X}{:02X}-{:02X}{:02X}", serial[0], serial[1], serial[2], serial[3]);
    let label = label(&head[at + 4..at + 15]).filter(|label| label != "NO NAME");
    Some(Content { kind: Some("vfat"), uuid: Some(serial), label })
}

fn label(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let label = String::from_utf8_lossy(bytes).trim_end().escape_debug().to_string();
    (!label.is_empty()).then_some(label)
}
