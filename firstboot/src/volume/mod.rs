//! Read-only FAT and ISO 9660 file systems, as far as a seed needs them: the volume's label, and files in its top
//! folder by name. Nothing is mounted, so a hostile disk meets this code and not the kernel's. Every read is bounded.

mod device;
mod fat;
mod iso;

pub use device::Device;
use std::io::{self};

/// A file system that was recognised.
#[derive(Debug)]
pub enum Volume {
    /// FAT.
    Fat(fat::Fat),
    /// ISO 9660.
    Iso(iso::Iso),
}

impl Volume {
    /// Recognises the file system of a device. `None` when it is none of the two.
    ///
    /// # Errors
    /// The device cannot be read, or its file system is damaged.
    pub fn recognise(device: &Device) -> io::Result<Option<Self>> {
        if let Some(iso) = iso::Iso::recognise(device)? {
            return Ok(Some(Self::Iso(iso)));
        }
        Ok(fat::Fat::recognise(device)?.map(Self::Fat))
    }

    /// Whether its label is `label` in whatever case; FAT may have two.
    pub fn is_called(&self, device: &Device, label: &str) -> bool {
        let labels = match self {
            Self::Fat(fat) => fat.labels(device),
            Self::Iso(iso) => vec![iso.label()],
        };
        labels.iter().any(|name| name.eq_ignore_ascii_case(label))
    }

    /// Reads the file `name` of the top folder; `None` when there is none.
    ///
    /// # Errors
    /// The device cannot be read, its file system is damaged, or the file is larger than `largest` bytes.
    pub fn read(&self, device: &Device, name: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Fat(fat) => fat.read(device, name, largest),
            Self::Iso(iso) => iso.read(device, name, largest),
        }
    }
}
