//! Kiln's configuration file, `$XDG_CONFIG_HOME/kiln/config.toml`: where a site gets its files from.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::ground::error::InputError;
use crate::ground::input;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The Debian archive.
    #[serde(default)]
    pub(super) mirror: Debian,
    /// Beginnings of addresses with what to ask instead.
    #[serde(default)]
    pub(super) mirrors: BTreeMap<String, Addresses>,
}

/// `[mirror]`: base addresses, in the order to try.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Debian {
    #[serde(default)]
    pub(super) debian: Addresses,
    #[serde(default)]
    pub(super) debian_security: Addresses,
    #[serde(default)]
    pub(super) snapshot: Addresses,
}

/// One address or a list of them.
#[derive(Debug, Default)]
pub(super) struct Addresses(pub(super) Vec<String>);

impl Config {
    /// Reads the file; none is an empty one.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, InputError> {
        let Some(path) = path else { return Ok(Self::default()) };
        match fs::read_to_string(path) {
            Ok(text) => input::parse(path, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            // Without its redirects a build would ask hosts that the site does not want asked.
            Err(error) => Err(InputError::Unreadable(error)),
        }
    }
}

/// Where the file is.
pub(super) fn file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("kiln/config.toml"))
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or a list of addresses")
            }

            fn visit_str<E>(self, value: &str) -> Result<Addresses, E> {
                Ok(Addresses(vec![value.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Addresses, A::Error> {
                let mut addresses = Vec::new();
                while let Some(value) = values.next_element()? {
                    addresses.push(value);
                }
                Ok(Addresses(addresses))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}
