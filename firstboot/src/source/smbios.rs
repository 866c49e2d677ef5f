//! SMBIOS: the machine's serial number (type 1) and the firmware's OEM strings (type 11), which a hypervisor sets from
//! outside. Serial numbers and strings that say nothing to firstboot belong to others and are skipped.

use std::path::Path;

use super::{Settings, Source, SourceError, bounded, pairs};
use crate::machine::{Machine, names};

const NAME: &str = "SMBIOS";
const PREFIX: &str = "kiln.";
/// What starts a serial number that is meant for cloud-init's NoCloud, see
/// <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>.
const NOCLOUD: [&str; 2] = ["ds=nocloud", "ds=nocloud-net"];

/// Reads the serial number and the OEM strings.
pub struct Smbios;

impl Source for Smbios {
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError> {
        let mut words = Vec::new();
        let mut ignored = Vec::new();
        if let Some(serial) = bounded(NAME, &machine.sys.join("class/dmi/id/product_serial"))? {
            from_serial(String::from_utf8_lossy(&serial).trim(), &mut words, &mut ignored);
        }
        let entries = machine.sys.join("firmware/dmi/entries");
        let strings = names(&entries).map_err(|error| SourceError::Read { source_name: NAME, error })?;
        for name in strings.iter().filter(|name| name.starts_with("11-")) {
            let path = entries.join(name).join("raw");
            if let Some(raw) = bounded(NAME, &path)? {
                words.extend(oem_strings(&raw).ok_or_else(|| damaged(&path))?);
            }
        }
        let words: Vec<_> = words.iter().filter_map(|word| word.strip_prefix(PREFIX)).collect();
        let mut settings =
            pairs(NAME, PREFIX, words.iter().map(|word| word.split_once('=').unwrap_or((word, ""))))?;
        settings.ignored = ignored;
        Ok((settings != Settings::default()).then_some(settings))
    }
}

/// `kiln.KEY=VALUE` words with semicolons between them, or cloud-init's form, of which `h=` is the host name.
fn from_serial(serial: &str, words: &mut Vec<String>, ignored: &mut Vec<String>) {
    let mut parts = serial.split(';');
    if serial.starts_with(PREFIX) {
        words.extend(parts.map(str::to_owned));
    } else if parts.next().is_some_and(|first| NOCLOUD.contains(&first)) {
        for part in parts.filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("h" | "local-hostname", name)) => words.push(format!("{PREFIX}hostname={name}")),
                _ => ignored.push(format!("{NAME}, serial number, {}", crate::console::shown(part))),
            }
        }
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
