//! A NoCloud seed: the texts that cloud-init's users know, as [`Settings`]. What Kiln's images do not do is known by
//! name and left alone; what nobody knows is an error. It does not find or read the disk.
//! <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>

mod accounts;
mod card;
mod cloud_config;
mod error;
mod meta_data;
mod network;
mod network_v1;
mod reader;
mod users;
pub mod yaml;

use cloud_config::CloudConfig;

use crate::settings::Settings;
pub use error::SeedError;

/// Names of the files that a seed may have, as [`Texts`] has them.
pub const FILES: [&str; 4] = ["meta-data", "user-data", "vendor-data", "network-config"];
/// Name of the file with the node's identity, a tar stream as in the identity partition.
pub const IDENTITY_FILE: &str = "kiln-identity.tar";

/// The most keys that are recorded as ignored, of all texts.
const MOST_IGNORED: usize = 100;

/// The texts of a seed, in the order of [`FILES`].
pub type Texts = [Option<Vec<u8>>; 4];

/// Reads the texts of a seed. `source` names it in the record.
///
/// # Errors
/// The name of the wrong text, and what is wrong with it.
pub fn parse(source: &str, texts: &Texts) -> Result<Settings, (&'static str, SeedError)> {
    let mut decoded = Vec::new();
    for (text, file) in texts.iter().zip(FILES) {
        let text = text.as_deref().unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|error| {
            let line = text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            (file, SeedError::new(line, "this is no UTF-8 text; write it plain, not compressed"))
        })?;
        decoded.push(text);
    }
    let origin = |file: &str| format!("{source}, {file}");
    let at = |index: usize| (decoded[index], origin(FILES[index]));
    let wrong = |index: usize| move |error| (FILES[index], error);
    let (text, name) = at(0);
    let meta = meta_data::parse(text, &name).map_err(wrong(0))?;
    let (text, name) = at(1);
    let user = CloudConfig::parse(text, &name).map_err(wrong(1))?;
    let (text, name) = at(2);
    let vendor = CloudConfig::parse(text, &name).map_err(wrong(2))?;
    let (text, name) = at(3);
    let network = network::parse(text, &name).map_err(wrong(3))?;
    let accounts = accounts::accounts(&user, &vendor, &meta.keys);
    let mut texts = user.settings.or(vendor.settings);
    if let Some(error) = meta.hostname {
        // multipass calls machines as it likes; a name that nothing else replaces is a mistake.
        if texts.hostname.is_none() && texts.node.is_none() {
            return Err(wrong(0)(error));
        }
        texts.ignored.push(format!("{}, {error}", origin(FILES[0])));
    }
    let mut texts = texts.or(meta.settings).or(network);
    let more = texts.ignored.len().saturating_sub(MOST_IGNORED);
    if more > 0 {
        texts.ignored.truncate(MOST_IGNORED);
        texts.ignored.push(format!("{source}, {more} more"));
    }
    Ok(Settings { accounts, ..texts })
}
