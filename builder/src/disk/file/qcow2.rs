//! Reading a qcow2 image ([QEMU's description of the format](https://www.qemu.org/docs/master/interop/qcow2.html)): which
//! bytes of the file are which of the disk's. The crates that read the format know no zstd, with which Kiln's images are
//! compressed.
//!
//! The file may be anything: each value is bounded before it is used, and memory is a table, a few clusters, and what was
//! asked for. Snapshots in an image are passed over, as QEMU does: the disk is its present state.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::{Decompress, FlushDecompress};
use fs_err as fs;

use crate::disk::file::error::Fault;

/// Bytes of the header's fields that are read here; of version 2 the first 72.
const HEADER: usize = 112;

/// The most bytes that the first table may have, as in QEMU.
const LARGEST_L1: u64 = 32 << 20;

/// Offsets of clusters and tables: bits 9 to 55 of an entry.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// An entry of a second table: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;

/// An entry of a second table, from version 3 on: the cluster reads as zeros.
const ZERO: u64 = 1;

/// Bits of the features that a reader must know.
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = 0b1_1111;

/// The largest window of a compressed cluster: no cluster is larger than 2 MiB.
const WINDOW_LOG: u32 = 23;

/// Bytes of tables, and of clusters, that are kept.
const KEPT: usize = 16 << 20;

/// An opened image.
#[derive(Debug)]
pub(super) struct Qcow2 {
    file: fs::File,
    /// Bytes of the file.
    length: u64,
    /// Bytes of the disk.
    size: u64,
    snapshots: u32,
    cluster_bits: u32,
    zstd: bool,
    /// Whether an entry can say that its cluster reads as zeros.
    has_zeros: bool,
    l1: Vec<u64>,
    tables: Mutex<Kept<Vec<u64>>>,
    clusters: Mutex<Kept<Vec<u8>>>,
}

/// What was read lately, by its offset in the file.
type Kept<T> = BTreeMap<u64, Arc<T>>;

/// Where a cluster of the disk is.
enum Place {
    Zeros,
    Plain(u64),
    /// Its offset in the file, and at most so many bytes.
    Compressed(u64, usize),
}

impl Qcow2 {
    /// Reads the header and the first table.
    pub(super) fn open(file: fs::File) -> Result<Self, Fault> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let mut header = [0; HEADER];
        let had = length.min(HEADER as u64) as usize;
        let short = |_| Fault::Short("header");
        file.file().read_exact_at(&mut header[..had], 0).map_err(short)?;
        let version = u32_at(&header, 4);
        if !(2..=3).contains(&version) {
            return Err(Fault::Version(version));
        }
        if had < if version == 2 { 72 } else { 104 } {
            return Err(Fault::Short("header"));
        }
        let (backing, name) = (u64_at(&header, 8), u32_at(&header, 16));
        if backing != 0 {
            let mut bytes = vec![0; name.min(1023) as usize];
            file.file().read_exact_at(&mut bytes, backing).map_err(short)?;
            return Err(Fault::Backing(String::from_utf8_lossy(&bytes).escape_debug().to_string()));
        }
        if u32_at(&header, 32) != 0 {
            return Err(Fault::Feature("encryption"));
        }
        let (features, zstd) = if version == 2 { (0, false) } else { of_version_3(&header)? };
        if features & EXTERNAL_DATA != 0 {
            return Err(Fault::Feature("its data in another file"));
        }
        if features & EXTENDED_L2 != 0 {
            return Err(Fault::Feature("subclusters"));
        }
        if features & CORRUPT != 0 {
            return Err(Fault::Feature("the mark that it is corrupt"));
        }
        if features & !KNOWN != 0 {
            return Err(Fault::Value { field: "incompatible_features", value: features });
        }
        let cluster_bits = u32_at(&header, 20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(Fault::Value { field: "cluster_bits", value: cluster_bits.into() });
        }
        let size = u64_at(&header, 24);
        // An entry of the first table covers a second one, a cluster of entries of eight bytes.
        let wanted = size.div_ceil(1 << (2 * cluster_bits - 3));
        let has = u32_at(&header, 36);
        if wanted > u64::from(has) || wanted * 8 > LARGEST_L1 {
            return Err(Fault::Value { field: "l1_size", value: has.into() });
        }
        let l1 =
            entries(&file, length, u64_at(&header, 40), wanted).map_err(|_| Fault::Short("first table"))?;
        let (tables, clusters) = (Mutex::default(), Mutex::default());
        let (has_zeros, snapshots) = (version > 2, u32_at(&header, 60));
        Ok(Self { file, length, size, snapshots, cluster_bits, zstd, has_zeros, l1, tables, clusters })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn snapshots(&self) -> u32 {
        self.snapshots
    }

    /// Reads bytes that are on the disk.
    pub(super) fn read_at(&self, mut at: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let cluster = 1_u64 << self.cluster_bits;
        while !buffer.is_empty() {
            let within = at % cluster;
            let length = (buffer.len() as u64).min(cluster - within) as usize;
            let (now, later) = buffer.split_at_mut(length);
            match self.place(at)? {
                Place::Zeros => now.fill(0),
                Place::Plain(offset) => self.plain(offset + within, now)?,
                Place::Compressed(offset, most) => {
                    let bytes = self.compressed(offset, most)?;
                    now.copy_from_slice(&bytes[within as usize..][..length]);
                }
            }
            at += length as u64;
            buffer = later;
        }
        Ok(())
    }

    /// Where the parts of a size begin that have clusters.
    pub(super) fn filled(&self, part: u64) -> io::Result<BTreeSet<u64>> {
        let cluster = 1_u64 << self.cluster_bits;
        let per_table = cluster / 8;
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for (index, entry) in (0_u64..).zip(&self.l1) {
            let offset = entry & OFFSET;
            if offset == 0 {
                continue;
            }
            // Else a small file could say of a disk of terabytes that it is full.
            if !seen.insert(offset) {
                return Err(corrupt(format!("its table at byte {offset} is used twice")));
            }
            for (inner, entry) in (0_u64..).zip(self.table(offset)?.iter()) {
                let at = (index * per_table + inner) * cluster;
                if at >= self.size {
                    break;
                }
                if !matches!(self.place_of(*entry)?, Place::Zeros) {
                    let end = self.size.min(at + cluster);
                    found.extend((at - at % part..end).step_by(part as usize));
                }
            }
        }
        Ok(found)
    }

    fn place(&self, at: u64) -> io::Result<Place> {
        let index = at >> self.cluster_bits;
        let per_table = 1_u64 << (self.cluster_bits - 3);
        let table = self.l1.get((index / per_table) as usize).map_or(0, |entry| entry & OFFSET);
        if table == 0 {
            return Ok(Place::Zeros);
        }
        self.place_of(self.table(table)?[(index % per_table) as usize])
    }

    fn place_of(&self, entry: u64) -> io::Result<Place> {
        if entry & COMPRESSED == 0 {
            let offset = entry & OFFSET;
            if !offset.is_multiple_of(1 << self.cluster_bits) {
                return Err(corrupt(format!(
                    "its cluster at byte {offset} does not begin where clusters do"
                )));
            }
            let zero = offset == 0 || (self.has_zeros && entry & ZERO != 0);
            return Ok(if zero { Place::Zeros } else { Place::Plain(offset) });
        }
        // The lower bits are where it begins, those above the number of further sectors that it is in.
        let bits = 62 - (self.cluster_bits - 8);
        let (offset, sectors) = (entry & ((1 << bits) - 1), (entry & (COMPRESSED - 1)) >> bits);
        let most = (sectors + 1) * 512 - offset % 512;
        Ok(Place::Compressed(offset, most as usize))
    }

    /// A second table.
    fn table(&self, offset: u64) -> io::Result<Arc<Vec<u64>>> {
        let count = 1 << (self.cluster_bits - 3);
        if let Some(table) = kept(&self.tables).get(&offset) {
            return Ok(table.clone());
        }
        let table = Arc::new(entries(&self.file, self.length, offset, count)?);
        keep(&self.tables, offset, &table, 1 << self.cluster_bits);
        Ok(table)
    }

    /// The last cluster may be cut off where the disk ends.
    fn plain(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset >= self.length {
            return Err(corrupt(format!("its cluster at byte {offset} lies behind its end")));
        }
        let there = buffer.len().min(usize::try_from(self.length - offset).unwrap_or(usize::MAX));
        buffer[there..].fill(0);
        self.file.file().read_exact_at(&mut buffer[..there], offset)
    }

    fn compressed(&self, offset: u64, most: usize) -> io::Result<Arc<Vec<u8>>> {
        if let Some(cluster) = kept(&self.clusters).get(&offset) {
            return Ok(cluster.clone());
        }
        let there = self.length.saturating_sub(offset).min(most as u64) as usize;
        let mut from = vec![0; there];
        self.file.file().read_exact_at(&mut from, offset)?;
        let mut cluster = vec![0; 1 << self.cluster_bits];
        let outcome = if self.zstd { unpack_zstd(&from, &mut cluster) } else { inflate(&from, &mut cluster) };
        outcome.map_err(|error| corrupt(format!("its compressed cluster at byte {offset}: {error}")))?;
        let cluster = Arc::new(cluster);
        keep(&self.clusters, offset, &cluster, 1 << self.cluster_bits);
        Ok(cluster)
    }
}

/// The features, and whether clusters are compressed with zstd.
fn of_version_3(header: &[u8; HEADER]) -> Result<(u64, bool), Fault> {
    let (features, length) = (u64_at(header, 72), u32_at(header, 100));
    if length < 104 {
        return Err(Fault::Value { field: "header_length", value: length.into() });
    }
    match if length > 104 { header[104] } else { 0 } {
        0 => Ok((features, false)),
        1 => Ok((features, true)),
        other => Err(Fault::Value { field: "compression_type", value: other.into() }),
    }
}

/// Entries of a table, which are big-endian.
fn entries(file: &fs::File, length: u64, offset: u64, count: u64) -> io::Result<Vec<u64>> {
    if offset.checked_add(count * 8).is_none_or(|end| end > length) {
        return Err(corrupt(format!("its table at byte {offset} ends behind its end")));
    }
    let mut bytes = vec![0; count as usize * 8];
    file.file().read_exact_at(&mut bytes, offset)?;
    Ok((0..count as usize).map(|index| u64_at(&bytes, index * 8)).collect())
}

fn kept<T>(kept: &Mutex<Kept<T>>) -> MutexGuard<'_, Kept<T>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what was read; when it is too much, all else is forgotten: reading goes from the begin to the end.
fn keep<T>(at: &Mutex<Kept<T>>, offset: u64, read: &Arc<T>, size: usize) {
    let mut kept = kept(at);
    if (kept.len() + 1) * size > KEPT {
        kept.clear();
    }
    kept.insert(offset, read.clone());
}

/// A cluster is a stream without a header; QEMU's window for it has 4 KiB, others' may have more.
fn inflate(from: &[u8], to: &mut [u8]) -> io::Result<()> {
    let mut stream = Decompress::new(false);
    stream.decompress(from, to, FlushDecompress::Finish).map_err(io::Error::other)?;
    // What lies behind the cluster's bytes is of the next one.
    let whole = stream.total_out() == to.len() as u64;
    if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn unpack_zstd(from: &[u8], to: &mut [u8]) -> io::Result<()> {
    let mut stream = zstd::Decoder::with_buffer(from)?;
    stream.window_log_max(WINDOW_LOG)?;
    stream.read_exact(to)
}

fn corrupt(fact: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the qcow2 image is damaged: {fact}"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(value)
}
