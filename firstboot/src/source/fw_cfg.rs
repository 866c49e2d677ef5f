//! QEMU's firmware configuration: `-fw_cfg name=opt/kiln/KEY,string=VALUE`. What other names hold belongs to others.
//! systemd loads the kernel's module for it before it starts anything.

use crate::machine::Machine;
use crate::settings::Settings;
use crate::source::error::SourceError;
use crate::source::form::{Source, folder};

const NAME: &str = "QEMU fw_cfg";
const PREFIX: &str = "opt/kiln/";

/// Reads QEMU's firmware configuration.
pub struct FwCfg;

impl Source for FwCfg {
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError> {
        let dir = machine.sys.join("firmware/qemu_fw_cfg/by_name").join(PREFIX);
        folder(NAME, PREFIX, &dir, |name| Some((name.to_owned(), dir.join(name).join("raw"))))
    }
}
