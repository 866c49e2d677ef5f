//! `meta-data`: which data these are, the host name and keys.

use crate::seed::error::SeedError;
use crate::seed::reader::{At, Keys};
use crate::seed::{users, yaml};
use crate::settings::{Settings, Sourced};

const KEYS: Keys = Keys {
    applied: &["instance-id", "local-hostname", "hostname", "public-keys", "public_keys"],
    ignored: &[
        "availability-zone",
        "availability_zone",
        "cloud-name",
        "cloud_name",
        "dsmode",
        "launch-index",
        "local-ipv4",
        "name",
        "network-interfaces",
        "platform",
        "project_id",
        "region",
        "seedfrom",
        "uuid",
        "vm-name",
    ],
};

/// What it says.
pub struct MetaData {
    /// The values.
    pub settings: Settings,
    /// Keys for the default user.
    pub keys: Vec<Sourced<String>>,
}

/// Reads it; `origin` names it in the record.
pub fn parse(text: &str, origin: &str) -> Result<MetaData, SeedError> {
    let node = yaml::parse(text)?;
    let mut settings = Settings::default();
    let mut keys = Vec::new();
    let mut ignored = Vec::new();
    let mut hostname = None;
    for (key, at) in At::whole(&node).keys(&KEYS, &mut ignored)? {
        let full = format!("{origin}, {key}");
        match key {
            _ if at.is_null() => {}
            "instance-id" => settings.instance_id = Some(Sourced::new(at.text()?.to_owned(), full)),
            "local-hostname" => settings.hostname = Some(Sourced::new(users::host_label(&at)?, full)),
            "hostname" => hostname = Some(Sourced::new(users::host_label(&at)?, full)),
            _ => keys.extend(public_keys(&at)?.into_iter().map(|key| Sourced::new(key, full.clone()))),
        }
    }
    settings.hostname = settings.hostname.or(hostname);
    settings.ignored = ignored.into_iter().map(|key| format!("{origin}, {key}")).collect();
    Ok(MetaData { settings, keys })
}

/// A list of keys, one key, or keys with names.
fn public_keys(at: &At<'_>) -> Result<Vec<String>, SeedError> {
    if at.is_list() || at.as_text().is_some() {
        return at.list_or_one()?.iter().map(users::ssh_key).collect();
    }
    at.entries()?.iter().map(|(_, at)| users::ssh_key(at)).collect()
}
