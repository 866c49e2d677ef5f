//! A NoCloud seed: the texts that cloud-init's users know, as [`Settings`]. What Kiln's images do not do is known by
//! name and left alone; what nobody knows is an error. It does not find or read the disk.
//! <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>

mod accounts;
mod card;
mod cloud_config;
mod device;
mod error;
mod meta_data;
mod network;
mod network_v1;
mod reader;
mod tag;
mod users;
mod value;
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
        // Editors of Windows write a byte order mark, which is no text.
        decoded.push(text.strip_prefix('\u{feff}').unwrap_or(text));
    }
    let origin = |file: &str| format!("{source}, {file}");
    let at = |index: usize| (decoded[index], origin(FILES[index]));
    let wrong = |index: usize| move |error| (FILES[index], error);
    let (text, name) = at(0);
    let meta = meta_data::parse(text, &name).map_err(wrong(0))?;
    let (text, name) = at(1);
    let user = CloudConfig::parse(text, &name).map_err(wrong(1))?;
    let (text, name) = at(2);
    // What the platform says is the user's to refuse, whatever it is.
    let left_out = (user.without_vendor && !text.is_empty()).then(|| name.clone());
    let text = if user.without_vendor { "" } else { text };
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
    texts.ignored.extend(left_out);
    let mut texts = texts.or(meta.settings).or(network);
    let more = texts.ignored.len().saturating_sub(MOST_IGNORED);
    if more > 0 {
        texts.ignored.truncate(MOST_IGNORED);
        texts.ignored.push(format!("{source}, {more} more"));
    }
    Ok(Settings { accounts, ..texts })
}

#[cfg(test)]
mod tests {
    use super::{FILES, Texts, parse};
    use crate::settings::Settings;

    /// What a seed with these files says.
    fn read(files: &[(&str, &str)]) -> Settings {
        let text =
            |file| files.iter().find(|(name, _)| *name == file).map(|(_, text)| text.as_bytes().to_vec());
        let texts: Texts = FILES.map(text);
        parse("x", &texts).unwrap()
    }

    /// The keys of each user.
    fn users(settings: &Settings) -> Vec<String> {
        settings.accounts.iter().map(|account| format!("{:?}", account.value.keys)).collect()
    }

    #[test]
    fn one_text_has_a_key_a_line_and_a_list_one_an_entry() {
        for text in [
            "ssh_authorized_keys: |\n  # home\n  ssh-rsa A x\n\n  ssh-rsa B y\n",
            "ssh_authorized_keys: [ssh-rsa A x, '', ssh-rsa B y, ~]\n",
        ] {
            let said = read(&[("user-data", &format!("#cloud-config\n{text}"))]);
            assert_eq!(users(&said), [r#"["ssh-rsa A x", "ssh-rsa B y"]"#], "{text}");
        }
    }

    #[test]
    fn vendor_data_that_are_not_wanted_say_nothing() {
        let vendor = ("vendor-data", "#!/bin/sh\n");
        let said = read(&[("user-data", "#cloud-config\nvendor_data: {enabled: false}\n"), vendor]);
        assert_eq!(said.ignored, ["x, vendor-data"]);
        let wanted: Texts = FILES.map(|file| (file == vendor.0).then(|| vendor.1.into()));
        assert_eq!(parse("x", &wanted).unwrap_err().0, "vendor-data");
    }

    #[test]
    fn a_netmask_may_be_one_of_ipv6() {
        let subnet = "{type: static6, address: '2001:db8::7', netmask: 'ffff:ffff:ffff:ffff::'}";
        let text = format!("version: 1\nconfig: [{{type: physical, name: a, subnets: [{subnet}]}}]\n");
        let said = read(&[("network-config", &text)]);
        assert_eq!(said.interfaces[0].value.addresses, ["2001:db8::7/64".parse().unwrap()]);
    }

    #[test]
    fn a_route_that_stands_twice_is_one() {
        let text =
            "version: 2\nethernets: {a: {gateway4: 10.0.0.1, routes: [{to: default, via: 10.0.0.1}]}}\n";
        assert_eq!(read(&[("network-config", text)]).interfaces[0].value.routes.len(), 1);
    }
}
