//! FAT12, FAT16 and FAT32 with long names, after Microsoft's "FAT: General Overview of On-Disk Format" (1.03).

use std::collections::BTreeSet;
use std::io;

use crate::volume::device::{Device, allowed, damaged, u16_at, u32_at};

/// Bytes of a folder's entry.
const ENTRY: usize = 32;
/// The most entries that a folder may have.
const MOST_ENTRIES: usize = 65536;
/// The largest cluster in bytes that any system makes.
const LARGEST_CLUSTER: u64 = 256 << 10;

const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_FOLDER: u8 = 0x10;
/// The attributes of an entry with a part of a long name.
const ATTRIBUTE_LONG: u8 = 0x0f;

/// How wide the entries of the table are, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// Where the parts of the file system lie; offsets in bytes.
#[derive(Debug)]
pub struct Fat {
    width: Width,
    table: u64,
    /// The top folder of FAT12 and FAT16: where it is and how many bytes it has.
    top: (u64, usize),
    /// The first cluster of FAT32's top folder.
    top_cluster: u32,
    data: u64,
    cluster: u64,
    clusters: u32,
    label: String,
}

/// A file or label.
struct Entry {
    name: String,
    attributes: u8,
    cluster: u32,
    size: u32,
}

impl Fat {
    pub(super) fn recognise(device: &Device) -> io::Result<Option<Self>> {
        let Ok(boot) = device.read(0, 512) else { return Ok(None) };
        Ok(Self::parse(&boot))
    }

    /// Checks every number of the boot sector, so that what is no FAT is not taken for one.
    fn parse(boot: &[u8]) -> Option<Self> {
        let byte = |at: usize| boot.get(at).copied().map(u64::from);
        let word = |at: usize| u16_at(boot, at).map(u64::from);
        let long = |at: usize| u32_at(boot, at).map(u64::from);
        let (sector, per_cluster) = (word(11)?, byte(13)?);
        let signed = boot.get(510..512)? == [0x55, 0xaa] && matches!(boot.first()?, 0xeb | 0xe9);
        if !signed || !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() {
            return None;
        }
        let (reserved, tables, entries) = (word(14)?, byte(16)?, word(17)?);
        let sectors = Some(word(19)?).filter(|sectors| *sectors != 0).or(long(32))?;
        let small = Some(word(22)?).filter(|size| *size != 0);
        let table_size = small.or(long(36))?;
        let top_sectors = (entries * ENTRY as u64).div_ceil(sector);
        let first = reserved + tables * table_size + top_sectors;
        let clusters = sectors.checked_sub(first)? / per_cluster;
        if reserved == 0
            || !(1..=2).contains(&tables)
            || table_size == 0
            || per_cluster * sector > LARGEST_CLUSTER
        {
            return None;
        }
        let width = match (small.is_some(), clusters) {
            (false, _) => Width::Fat32,
            (true, 0..4085) => Width::Fat12,
            (true, _) => Width::Fat16,
        };
        let label = if width == Width::Fat32 { boot.get(71..82)? } else { boot.get(43..54)? };
        Some(Self {
            width,
            table: reserved * sector,
            top: ((reserved + tables * table_size) * sector, usize::try_from(entries).ok()? * ENTRY),
            top_cluster: u32_at(boot, 44)?,
            data: first * sector,
            cluster: per_cluster * sector,
            clusters: u32::try_from(clusters).ok()?,
            label: String::from_utf8_lossy(label).trim_end().to_owned(),
        })
    }

    /// The labels: of the boot sector, and of the top folder as far as that can be read.
    pub(super) fn labels(&self, device: &Device) -> Vec<String> {
        let entries = self.entries(device).unwrap_or_default().into_iter();
        let labels = entries.filter(|entry| entry.attributes & ATTRIBUTE_LABEL != 0).map(|entry| entry.name);
        labels.chain([self.label.clone()]).collect()
    }

    pub(super) fn read(&self, device: &Device, name: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
        let is_file = |entry: &Entry| entry.attributes & (ATTRIBUTE_LABEL | ATTRIBUTE_FOLDER) == 0;
        let entries = self.entries(device)?;
        let entry = entries.iter().find(|entry| is_file(entry) && entry.name.eq_ignore_ascii_case(name));
        let Some(entry) = entry else { return Ok(None) };
        let size = allowed(name, u64::from(entry.size), largest)?;
        let mut bytes = self.chain(device, entry.cluster, size)?;
        if bytes.len() < size {
            return Err(damaged(&format!("`{name}` is cut off")));
        }
        bytes.truncate(size);
        Ok(Some(bytes))
    }

    fn entries(&self, device: &Device) -> io::Result<Vec<Entry>> {
        let folder = match self.width {
            Width::Fat32 => self.chain(device, self.top_cluster, MOST_ENTRIES * ENTRY)?,
            _ => device.read(self.top.0, self.top.1)?,
        };
        Ok(parse_folder(&folder))
    }

    /// The clusters of a file one after the other, until there are `enough` bytes or the chain ends.
    fn chain(&self, device: &Device, first: u32, enough: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut seen = BTreeSet::new();
        let mut cluster = first;
        while bytes.len() < enough && (2..self.clusters.saturating_add(2)).contains(&cluster) {
            if !seen.insert(cluster) {
                return Err(damaged("a chain of clusters leads back to itself"));
            }
            let offset = self.data + u64::from(cluster - 2) * self.cluster;
            let len = usize::try_from(self.cluster).map_err(io::Error::other)?;
            bytes.extend(device.read(offset, len)?);
            cluster = self.next(device, cluster)?;
        }
        Ok(bytes)
    }

    /// The table's entry for a cluster; a number that is no cluster ends the chain.
    fn next(&self, device: &Device, cluster: u32) -> io::Result<u32> {
        let cluster = u64::from(cluster);
        let (offset, len) = match self.width {
            Width::Fat12 => (cluster + cluster / 2, 2),
            Width::Fat16 => (cluster * 2, 2),
            Width::Fat32 => (cluster * 4, 4),
        };
        let mut bytes = device.read(self.table + offset, len)?;
        bytes.resize(4, 0);
        let entry = u32_at(&bytes, 0).unwrap_or_default();
        Ok(match self.width {
            Width::Fat12 if cluster % 2 == 1 => entry >> 4,
            Width::Fat12 => entry & 0xfff,
            Width::Fat16 => entry,
            Width::Fat32 => entry & 0x0fff_ffff,
        })
    }
}

fn parse_folder(folder: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut long = Long::default();
    for raw in folder.chunks_exact(ENTRY) {
        match (raw[0], raw[11]) {
            (0, _) => break,
            (0xe5, _) => long = Long::default(),
            (order, ATTRIBUTE_LONG) => long.add(order, raw),
            (_, attributes) => {
                let name = std::mem::take(&mut long).name(raw).unwrap_or_else(|| short_name(raw, attributes));
                let number = |at: usize| u16_at(raw, at).map_or(0, u32::from);
                entries.push(Entry {
                    name,
                    attributes,
                    cluster: number(20) << 16 | number(26),
                    size: u32_at(raw, 28).unwrap_or_default(),
                });
            }
        }
    }
    entries
}

/// The parts of a long name, which stand before its entry with the last part first.
#[derive(Default)]
struct Long {
    units: Vec<u16>,
    left: u8,
    sum: u8,
}

impl Long {
    fn add(&mut self, order: u8, raw: &[u8]) {
        let number = order & 0x3f;
        if order & 0x40 != 0 {
            *self = Self { units: Vec::new(), left: number, sum: raw[13] };
        } else if self.left != number || self.sum != raw[13] {
            *self = Self::default();
            return;
        }
        let at = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
        let part = at.iter().filter_map(|at| u16_at(raw, *at)).collect::<Vec<_>>();
        self.units.splice(0..0, part);
        self.left = number.saturating_sub(1);
    }

    /// The name, when all its parts were there and belong to this entry.
    fn name(self, raw: &[u8]) -> Option<String> {
        let sum = raw[..11].iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.units.is_empty() || self.left != 0 || self.sum != sum {
            return None;
        }
        let end = self.units.iter().position(|unit| *unit == 0).unwrap_or(self.units.len());
        String::from_utf16(&self.units[..end]).ok()
    }
}

/// A name of eight and three letters, or a label of eleven.
fn short_name(raw: &[u8], attributes: u8) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if attributes & ATTRIBUTE_LABEL != 0 {
        return text(&raw[..11]);
    }
    match (text(&raw[..8]), text(&raw[8..11])) {
        (name, end) if end.is_empty() => name,
        (name, end) => format!("{name}.{end}"),
    }
}
