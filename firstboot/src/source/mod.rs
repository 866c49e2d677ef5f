//! Where a node's values come from, highest precedence first. A source reads and checks its own form and answers
//! [`Settings`]; it does not know what they are used for. Absent is not an error, present and wrong is one.

mod announced;
mod cmdline;
mod credentials;
mod error;
mod form;
mod fw_cfg;
mod interface;
mod kept;
mod keys;
pub mod metadata;
pub mod nocloud;
mod settings;
mod smbios;
pub mod table;

pub use cmdline::Cmdline;
pub use credentials::Credentials;
pub use error::{MetadataError, NoCloudError, SourceError};
pub use form::Source;
pub use fw_cfg::FwCfg;
pub use interface::{Account, Interface, Route, Selector};
pub use kept::KeptError;
pub use keys::{Key, SettingError, first_label};
pub use metadata::Metadata;
pub use nocloud::NoCloud;
pub use settings::{Settings, Sourced, add_account};
pub use smbios::Smbios;

use crate::machine::Machine;

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
