//! SMBIOS: the machine's serial number (type 1) and the firmware's OEM strings (type 11), which a hypervisor sets from
//! outside. Serial numbers and strings that say nothing to firstboot belong to others and are skipped.

use std::path::Path;

use crate::machine::{Machine, names};
use crate::settings::Settings;
use crate::source::announced;
use crate::source::error::SourceError;
use crate::source::form::{Source, bounded, pairs};

const NAME: &str = "SMBIOS";
const PREFIX: &str = "kiln.";
/// Reads the serial number and the OEM strings.
pub struct Smbios;

impl Source for Smbios {
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError> {
        let mut words = Vec::new();
        let mut announced = Settings::default();
        if let Some(serial) = bounded(NAME, &machine.sys.join("class/dmi/id/product_serial"))? {
            let serial = String::from_utf8_lossy(&serial);
            let serial = serial.trim();
            if serial.starts_with(PREFIX) {
                words.extend(serial.split(';').map(str::to_owned));
            }
            announced::read(&format!("{NAME}, serial number"), serial, &mut announced)
                .map_err(|error| SourceError::Setting { source_name: NAME, error })?;
        }
        let entries = machine.sys.join("firmware/dmi/entries");
        let strings = names(&entries).map_err(|error| SourceError::Read { source_name: NAME, error })?;
        for name in strings.iter().filter(|name| name.starts_with("11-")) {
            let path = entries.join(name).join("raw");
            if let Some(raw) = bounded(NAME, &path)? {
                words.extend(oem_strings(&raw).ok_or_else(|| damaged(&path))?);
            }
        }
        let words = words.iter().filter_map(|word| word.strip_prefix(PREFIX));
        let words = words.map(|word| word.split_once('=').unwrap_or((word, "")));
        let settings = pairs(NAME, PREFIX, words)?.or(announced);
        Ok((settings != Settings::default()).then_some(settings))
    }
}

/// The strings of one structure: they stand behind its formatted part, whose length is its second byte, each with a
/// zero at its end and an empty one at the end of all (DMTF DSP0134, section 6.1.3).
fn oem_strings(raw: &[u8]) -> Option<Vec<String>> {
    let (kind, length) = (*raw.first()?, usize::from(*raw.get(1)?));
    let strings = raw.get(length..).filter(|_| kind == 11 && length >= 5)?;
    let strings = strings.split(|byte| *byte == 0).take_while(|string| !string.is_empty());
    Some(strings.map(|string| String::from_utf8_lossy(string).into_owned()).collect())
}

fn damaged(path: &Path) -> SourceError {
    let error = format!("`{}` is no structure of OEM strings", path.display());
    SourceError::Read { source_name: NAME, error: std::io::Error::other(error) }
}
