//! The NoCloud disk: a volume with the label `cidata`, as cloud-localds, virt-install and multipass make it. What it
//! says is kept on the node, because some take the disk away after the first boot. The texts are the seed's.

use std::io;
use std::path::PathBuf;

use crate::content::Content;
use crate::identity;
use crate::machine::Machine;
use crate::seed::{self, FILES, IDENTITY_FILE, Texts};
use crate::settings::Settings;
use crate::source::error::{LABEL, NAME, NoCloudError, SourceError};
use crate::source::form::{LARGEST, Source};
use crate::source::kept::{keep, kept};
use crate::volume::{Device, Volume};

/// Where a node keeps what its seed said, relative to the root.
pub const KEPT_FILE: &str = "var/lib/kiln/seed.json";

/// Reads the NoCloud disk, or what is kept of it.
pub struct NoCloud;

impl Source for NoCloud {
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError> {
        let mut found = disks(machine).map_err(|error| SourceError::Read { source_name: NAME, error })?;
        if found.len() > 1 {
            let names: Vec<_> = found.iter().map(|(path, ..)| path.display().to_string()).collect();
            return Err(NoCloudError::Ambiguous(names.join(", ")).into());
        }
        let Some((path, device, volume)) = found.pop() else { return Ok(kept(&machine.root, KEPT_FILE)?) };
        let wrong = |error| NoCloudError::Disk { device: path.display().to_string(), error };
        let mut texts = Texts::default();
        for (text, file) in texts.iter_mut().zip(FILES) {
            *text = volume.read(&device, file, LARGEST).map_err(wrong)?;
        }
        let identity = volume.read(&device, IDENTITY_FILE, identity::LARGEST).map_err(wrong)?;
        if identity.is_none() && texts.iter().all(Option::is_none) {
            let names = FILES.map(|file| format!("`{file}`")).join(", ");
            return Err(wrong(io::Error::other(format!("it has none of {names}, `{IDENTITY_FILE}`"))).into());
        }
        let seed = seed::parse(NAME, &texts).map_err(|(file, error)| NoCloudError::Text { file, error })?;
        let seed = keep(KEPT_FILE, seed)?;
        let identity = identity.map(|bytes| Content { bytes, secret: true });
        Ok(Some(Settings { disk: true, identity, ..seed }))
    }
}

/// The volumes of the label; a disk's first partition may be the same one again, as on ISO images for USB sticks.
fn disks(machine: &Machine) -> io::Result<Vec<(PathBuf, Device, Volume)>> {
    let mut found: Vec<(String, PathBuf, Device, Volume)> = Vec::new();
    for (name, path) in machine.block_devices()? {
        let is_partition = machine.sys.join("class/block").join(&name).join("partition").exists();
        if is_partition && found.iter().any(|(disk, ..)| name.starts_with(disk.as_str())) {
            continue;
        }
        // A drive without a disk, or a disk that cannot be read: nothing says that it is a seed.
        let Ok(device) = Device::open(&path) else { continue };
        if let Ok(Some(volume)) = Volume::recognise(&device)
            && volume.is_called(&device, LABEL)
        {
            found.push((name, path, device, volume));
        }
    }
    Ok(found.into_iter().map(|(_, path, device, volume)| (path, device, volume)).collect())
}
