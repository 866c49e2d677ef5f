//! What the crate that reads ext4 does not tell: a file's inode number, how many names it has, its device numbers and its
//! extended attributes ([the kernel's description](https://docs.kernel.org/filesystems/ext4/)).
//!
//! The disk may be anything: each number is bounded before it is used.

use std::collections::BTreeMap;
use std::io;

use crate::disk::file::DiskRange;
use crate::inspect::number::{u16_at, u32_at};

/// Features without which this reads nothing, and the names that `dumpe2fs` gives them.
const UNREAD: [(u32, &str); 2] = [(0x10, "meta_bg"), (0x400, "ea_inode")];

/// An inode's flags: its blocks are in extents; its data are in itself.
const EXTENTS: u32 = 0x8_0000;
const INLINE: u32 = 0x1000_0000;

/// The begin of attributes.
const ATTRIBUTES: u32 = 0xea02_0000;

/// The most bytes of the groups' descriptors: more than the largest disk that is read has with the smallest blocks.
const LARGEST_TABLE: u64 = 64 << 20;

/// The most bytes of a directory.
const LARGEST_FOLDER: u64 = 1 << 30;

/// The inode table of a file system.
#[derive(Debug)]
pub(super) struct Inodes {
    disk: DiskRange,
    /// Bytes of a block.
    block: u64,
    /// Bytes of an inode.
    size: u64,
    per_group: u64,
    count: u64,
    /// The block at which each group's part of the table begins.
    tables: Vec<u64>,
}

/// One inode's bytes.
pub(super) struct Inode(Vec<u8>);

impl Inodes {
    /// # Errors
    /// When the disk cannot be read, or its superblock has a value that no file system has.
    pub(super) fn open(disk: DiskRange) -> io::Result<Self> {
        let mut superblock = [0; 1024];
        disk.read_at(1024, &mut superblock)?;
        let field = |at: usize| u64::from(u32_at(&superblock, at));
        let features = u32_at(&superblock, 96);
        if let Some((_, name)) = UNREAD.iter().find(|(bit, _)| features & bit != 0) {
            return Err(unread(&format!("a file system with {name}")));
        }
        let log = field(24);
        let block = if log <= 6 { 1024 << log } else { return Err(damaged("s_log_block_size", log)) };
        let size = if field(76) == 0 { 128 } else { u64::from(u16_at(&superblock, 88)) };
        if !size.is_power_of_two() || !(128..=block).contains(&size) {
            return Err(damaged("s_inode_size", size));
        }
        let is_64bit = features & 0x80 != 0;
        let descriptor = if is_64bit { u64::from(u16_at(&superblock, 254)) } else { 32 };
        if !(32..=block).contains(&descriptor) || (is_64bit && descriptor < 64) {
            return Err(damaged("s_desc_size", descriptor));
        }
        let (first, of_group, per_group) = (field(20), field(32), field(40));
        // The crate takes the upper half as it is, also where the kernel does not look at it.
        let blocks = field(4) | field(336) << 32;
        if of_group == 0 || per_group == 0 || blocks < first || blocks > disk.size() / block {
            return Err(damaged("s_blocks_count", blocks));
        }
        let groups = (blocks - first).div_ceil(of_group);
        let size_of_table = groups.saturating_mul(descriptor);
        if size_of_table > LARGEST_TABLE {
            return Err(damaged("s_blocks_per_group", of_group));
        }
        let mut descriptors = vec![0; size_of_table as usize];
        disk.read_at((first + 1) * block, &mut descriptors)?;
        let tables = descriptors.chunks_exact(descriptor as usize).map(|group| {
            let high = if is_64bit { u64::from(u32_at(group, 40)) << 32 } else { 0 };
            u64::from(u32_at(group, 8)) | high
        });
        let tables = tables.collect();
        Ok(Self { disk, block, size, per_group, count: field(0), tables })
    }

    pub(super) fn get(&self, number: u32) -> io::Result<Inode> {
        let index = u64::from(number).checked_sub(1).filter(|index| *index < self.count);
        let index = index.ok_or_else(|| damaged("inode", number.into()))?;
        let table = self.tables.get((index / self.per_group) as usize);
        let table = *table.ok_or_else(|| damaged("inode", number.into()))?;
        let mut bytes = vec![0; self.size as usize];
        self.read(table, index % self.per_group * self.size, &mut bytes)?;
        Ok(Inode(bytes))
    }

    /// The inode numbers of what is in a directory, by name.
    pub(super) fn folder(&self, inode: &Inode) -> io::Result<BTreeMap<Vec<u8>, u32>> {
        let mut found = BTreeMap::new();
        let size = inode.bytes_of_folder();
        if inode.flags() & INLINE != 0 || size > LARGEST_FOLDER {
            return Err(unread("a directory inside an inode, or one of more than 1 GiB"));
        }
        let mut blocks = Vec::new();
        self.blocks(inode, size.div_ceil(self.block), &mut blocks)?;
        let mut bytes = vec![0; self.block as usize];
        for block in blocks {
            self.read(block, 0, &mut bytes)?;
            let mut rest = bytes.as_slice();
            while rest.len() >= 8 {
                let (number, name) = (u32_at(rest, 0), usize::from(rest[6]));
                let length = match u16_at(rest, 4) {
                    0 | u16::MAX if self.block == 1 << 16 => 1 << 16,
                    length => usize::from(length),
                };
                if length < 8 + name || length > rest.len() {
                    return Err(damaged("rec_len", length as u64));
                }
                if number != 0 {
                    found.insert(rest[8..8 + name].to_vec(), number);
                }
                rest = &rest[length..];
            }
        }
        Ok(found)
    }

    /// The extended attributes of a file: those in its inode, then those in a block of their own.
    pub(super) fn attributes(&self, inode: &Inode) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        let Inode(bytes) = inode;
        if bytes.len() > 132 {
            let begin = 128 + usize::from(u16_at(bytes, 128));
            if bytes.get(begin..begin + 4).is_some_and(|magic| u32_at(magic, 0) == ATTRIBUTES) {
                let room = &bytes[begin + 4..];
                attributes(room, room, &mut found)?;
            }
        }
        let block = u64::from(u32_at(bytes, 104)) | u64::from(u16_at(bytes, 118)) << 32;
        if block != 0 {
            let mut bytes = vec![0; self.block as usize];
            self.read(block, 0, &mut bytes)?;
            if u32_at(&bytes, 0) != ATTRIBUTES {
                return Err(damaged("h_magic", u32_at(&bytes, 0).into()));
            }
            attributes(&bytes[32..], &bytes, &mut found)?;
        }
        Ok(found)
    }

    /// Adds the blocks of a directory in order.
    fn blocks(&self, inode: &Inode, most: u64, found: &mut Vec<u64>) -> io::Result<()> {
        if inode.flags() & EXTENTS != 0 {
            return self.extents(&inode.0[40..100], 5, most, found);
        }
        let pointers = inode.0[40..100].chunks_exact(4).map(|pointer| u32_at(pointer, 0));
        for (index, pointer) in pointers.enumerate() {
            let depth = index.saturating_sub(11) as u32;
            self.indirect(pointer.into(), depth, most, found)?;
        }
        Ok(())
    }

    /// A node of the extent tree; each level has to be lower than the one before.
    fn extents(&self, node: &[u8], below: u16, most: u64, found: &mut Vec<u64>) -> io::Result<()> {
        let (magic, count, depth) = (u16_at(node, 0), usize::from(u16_at(node, 2)), u16_at(node, 6));
        if magic != 0xf30a || depth > below || 12 * (count + 1) > node.len() {
            return Err(damaged("eh_depth", depth.into()));
        }
        for entry in node[12..].chunks_exact(12).take(count) {
            if found.len() as u64 >= most {
                break;
            }
            if depth == 0 {
                let length = match u16_at(entry, 4) {
                    length @ 0..=0x8000 => length,
                    unwritten => unwritten - 0x8000,
                };
                let start = u64::from(u32_at(entry, 8)) | u64::from(u16_at(entry, 6)) << 32;
                found.extend((start..start + u64::from(length)).take((most - found.len() as u64) as usize));
            } else {
                let child = u64::from(u32_at(entry, 4)) | u64::from(u16_at(entry, 8)) << 32;
                let mut bytes = vec![0; self.block as usize];
                self.read(child, 0, &mut bytes)?;
                self.extents(&bytes, depth - 1, most, found)?;
            }
        }
        Ok(())
    }

    /// A pointer of ext2 and ext3, through so many blocks of pointers.
    fn indirect(&self, block: u64, depth: u32, most: u64, found: &mut Vec<u64>) -> io::Result<()> {
        if block == 0 || found.len() as u64 >= most {
            return Ok(());
        }
        if depth == 0 {
            found.push(block);
            return Ok(());
        }
        let mut bytes = vec![0; self.block as usize];
        self.read(block, 0, &mut bytes)?;
        bytes.chunks_exact(4).try_for_each(|at| self.indirect(u32_at(at, 0).into(), depth - 1, most, found))
    }

    /// Bytes from a block on.
    fn read(&self, block: u64, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = block.checked_mul(self.block).and_then(|at| at.checked_add(offset));
        self.disk.read_at(at.ok_or_else(|| damaged("block", block))?, bytes)
    }
}

impl Inode {
    fn flags(&self) -> u32 {
        u32_at(&self.0, 32)
    }

    fn bytes_of_folder(&self) -> u64 {
        u64::from(u32_at(&self.0, 4)) | u64::from(u32_at(&self.0, 108)) << 32
    }

    /// How many names it has.
    pub(super) fn links(&self) -> u16 {
        u16_at(&self.0, 26)
    }

    /// When it was last changed itself: seconds, of which the newer half has two more bits.
    pub(super) fn changed(&self) -> i64 {
        let extra = if self.0.len() > 136 { u32_at(&self.0, 132) & 3 } else { 0 };
        i64::from(u32_at(&self.0, 12).cast_signed()) + (i64::from(extra) << 32)
    }

    /// Major and minor number of a device; the older form, if there, is in the first pointer.
    pub(super) fn device(&self) -> (u32, u32) {
        match u32_at(&self.0, 40) {
            0 => {
                let new = u32_at(&self.0, 44);
                ((new & 0xfff00) >> 8, (new & 0xff) | ((new >> 12) & 0xfff00))
            }
            old => ((old >> 8) & 0xff, old & 0xff),
        }
    }
}

/// Reads a list of attributes; their values' offsets count from `room`.
fn attributes(mut list: &[u8], room: &[u8], found: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    while list.len() >= 16 && u32_at(list, 0) != 0 {
        let name_end = 16 + usize::from(list[0]);
        let (offset, size) = (usize::from(u16_at(list, 2)), u32_at(list, 8) as usize);
        let value = offset.checked_add(size).and_then(|end| room.get(offset..end));
        let name = list.get(16..name_end);
        let (Some(name), Some(value)) = (name, value) else {
            return Err(damaged("e_value_size", size as u64));
        };
        let prefix = match list[1] {
            1 => "user.",
            2 => "system.posix_acl_access",
            3 => "system.posix_acl_default",
            4 => "trusted.",
            6 => "security.",
            7 => "system.",
            _ => "",
        };
        found.insert(format!("{prefix}{}", String::from_utf8_lossy(name).escape_debug()), value.to_vec());
        list = list.get(name_end.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

fn damaged(field: &str, value: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file system is damaged: {field} = {value}"))
}

fn unread(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what} is not read here"))
}
