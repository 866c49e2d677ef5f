//! ISO 9660 (ECMA-119) with the names of Rock Ridge (IEEE P1282) or Joliet, as genisoimage, xorriso and multipass
//! write them.

use std::io;

use crate::volume::device::{Device, allowed, damaged, u32_at};

/// Bytes of a sector, and of a logical block: nobody makes others.
const SECTOR: u64 = 2048;
/// Where the volume descriptors start, in sectors.
const DESCRIPTORS: u64 = 16;
/// The most volume descriptors that are looked at.
const MOST_DESCRIPTORS: u64 = 32;
/// The largest folder that is read, in bytes.
const LARGEST_FOLDER: u64 = 1 << 20;

const FLAG_FOLDER: u8 = 0x02;
const FLAG_MORE_EXTENTS: u8 = 0x80;

/// An extent: first block and number of bytes.
type Extent = (u64, u64);

/// Where the top folder is, by the primary and by Joliet's descriptor.
#[derive(Debug)]
pub struct Iso {
    label: String,
    top: Extent,
    joliet: Option<Extent>,
}

impl Iso {
    pub(super) fn recognise(device: &Device) -> io::Result<Option<Self>> {
        let mut found = None;
        let mut joliet = None;
        for number in 0..MOST_DESCRIPTORS {
            let Ok(sector) = device.read((DESCRIPTORS + number) * SECTOR, SECTOR as usize) else { break };
            if &sector[1..6] != b"CD001" {
                break;
            }
            match sector[0] {
                1 if found.is_none() => {
                    if sector[128..130] != [0, 8] {
                        return Err(damaged("the ISO 9660 file system has blocks of another size than 2048"));
                    }
                    let label =
                        String::from_utf8_lossy(&sector[40..72]).trim_end_matches([' ', '\0']).to_owned();
                    found = Some((label, extent(&sector[156..190])));
                }
                // The escape sequences of UCS-2, levels 1 to 3.
                2 if matches!(&sector[88..91], b"%/@" | b"%/C" | b"%/E") => {
                    joliet = Some(extent(&sector[156..190]))
                }
                255 => break,
                _ => {}
            }
        }
        Ok(found.map(|(label, top)| Self { label, top, joliet }))
    }

    pub(super) fn label(&self) -> String {
        self.label.clone()
    }

    pub(super) fn read(&self, device: &Device, name: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
        let mut file = find(device, self.top, name, plain_name)?;
        if let (None, Some(joliet)) = (file, self.joliet) {
            file = find(device, joliet, name, joliet_name)?;
        }
        let Some((block, size)) = file else { return Ok(None) };
        let size = allowed(name, size, largest)?;
        device.read(block * SECTOR, size).map(Some)
    }
}

/// The extent of a folder's record.
fn extent(record: &[u8]) -> Extent {
    let number = |at: usize| u64::from(u32_at(record, at).unwrap_or_default());
    (number(2), number(10))
}

/// Looks for a file in a folder.
fn find(
    device: &Device,
    (block, size): Extent,
    name: &str,
    name_of: fn(&[u8], &[u8]) -> String,
) -> io::Result<Option<Extent>> {
    let size = allowed("the top folder", size, LARGEST_FOLDER)?;
    let folder = device.read(block * SECTOR, size)?;
    for sector in folder.chunks(SECTOR as usize) {
        let mut rest = sector;
        // A record does not reach into the next sector: zeros fill what is left.
        while let Some(length) = rest.first().map(|length| usize::from(*length)).filter(|length| *length != 0)
        {
            let (record, behind) =
                rest.split_at_checked(length).ok_or_else(|| damaged("a folder's record is cut off"))?;
            rest = behind;
            let name_len = record.get(32).map_or(0, |len| usize::from(*len));
            let Some(identifier) = record.get(33..33 + name_len) else {
                return Err(damaged("a folder's record is too short for its name"));
            };
            // The system use area starts at an even offset.
            let system_use = record.get((33 + name_len).next_multiple_of(2)..).unwrap_or_default();
            let flags = record[25];
            if flags & FLAG_FOLDER != 0 || !name_of(identifier, system_use).eq_ignore_ascii_case(name) {
                continue;
            }
            if flags & FLAG_MORE_EXTENTS != 0 {
                return Err(damaged(&format!("`{name}` is in several pieces")));
            }
            return Ok(Some(extent(record)));
        }
    }
    Ok(None)
}

/// Rock Ridge's name, else ISO 9660's own without the version and the dot of an empty ending.
fn plain_name(identifier: &[u8], system_use: &[u8]) -> String {
    if let Some(name) = rock_ridge(system_use) {
        return name;
    }
    let name = String::from_utf8_lossy(identifier);
    let name = name.split(';').next().unwrap_or_default();
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

/// The parts of the field `NM`; a field has two letters, its length, a version and for a name flags.
fn rock_ridge(mut fields: &[u8]) -> Option<String> {
    let mut name = Vec::new();
    while let [a, b, length, _, ..] = fields {
        let (field, behind) = fields.split_at_checked(usize::from(*length).max(4))?;
        if [*a, *b] == *b"NM" {
            name.extend(field.get(5..)?);
        }
        fields = behind;
    }
    if name.is_empty() { None } else { String::from_utf8(name).ok() }
}

/// UCS-2 with the high byte first; some write a version too.
fn joliet_name(identifier: &[u8], _: &[u8]) -> String {
    let units: Vec<_> =
        identifier.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let name = String::from_utf16_lossy(&units);
    name.split(';').next().unwrap_or_default().to_owned()
}
