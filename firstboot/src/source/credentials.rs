//! systemd's credentials: files `kiln.KEY` in the folder that the service manager hands over. How they got there, by
//! SMBIOS, fw_cfg or a container manager, is systemd's matter; see systemd.exec(5), `ImportCredential=`.

use crate::machine::Machine;
use crate::settings::Settings;
use crate::source::error::SourceError;
use crate::source::form::{Source, folder};

const NAME: &str = "systemd credentials";
const PREFIX: &str = "kiln.";

/// Reads the credentials of the service.
pub struct Credentials;

impl Source for Credentials {
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError> {
        let Some(dir) = &machine.credentials else { return Ok(None) };
        let key = |name: &str| Some((name.strip_prefix(PREFIX)?.to_owned(), dir.join(name)));
        folder(NAME, PREFIX, dir, key)
    }
}
