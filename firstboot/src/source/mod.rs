//! Where a node's values come from, highest precedence first. A source reads and checks its own form and answers
//! [`Settings`]; it does not know what they are used for. Absent is not an error, present and wrong is one.

mod announced;
mod cmdline;
mod credentials;
mod error;
mod form;
mod fw_cfg;
mod kept;
pub mod metadata;
pub mod nocloud;
mod smbios;
pub mod table;

pub use cmdline::Cmdline;
pub use credentials::Credentials;
pub use error::{MetadataError, NoCloudError, SourceError};
pub use form::Source;
pub use fw_cfg::FwCfg;
pub use kept::KeptError;
pub use metadata::Metadata;
pub use nocloud::NoCloud;
pub use smbios::Smbios;

use crate::machine::Machine;
use crate::settings::Settings;

/// Every source in the order of precedence: a value of an earlier one wins.
pub const ORDER: [&dyn Source; 6] = [&Cmdline, &Smbios, &FwCfg, &Credentials, &NoCloud, &Metadata];

/// Reads all sources into one set of values.
///
/// # Errors
/// As [`Source::read`], for the first source that is wrong.
pub fn read_all(machine: &Machine) -> Result<Settings, SourceError> {
    let mut settings = Settings::default();
    for source in ORDER {
        if let Some(found) = source.read(machine)? {
            settings = settings.or(found);
        }
    }
    Ok(settings)
}
