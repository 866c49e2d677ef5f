//! `meta-data`: which data these are, the host name and keys.

use crate::seed::error::SeedError;
use crate::seed::reader::{At, Keys};
use crate::seed::{users, yaml};
use crate::settings::{Settings, Sourced};

const KEYS: Keys = &["instance-id", "local-hostname", "hostname", "public-keys", "public_keys"];

/// What it says.
pub struct MetaData {
    /// The values.
    pub settings: Settings,
    /// Keys for the default user.
    pub keys: Vec<Sourced<String>>,
    /// What is wrong with its host name: whoever has a better one does not mind.
    pub hostname: Option<SeedError>,
}

/// Reads it; `origin` names it in the record.
pub fn parse(text: &str, origin: &str) -> Result<MetaData, SeedError> {
    let node = yaml::parse(text)?;
    let mut settings = Settings::default();
    let mut keys = Vec::new();
    let mut ignored = Vec::new();
    let (mut hostname, mut wrong) = (None, None);
    for (key, at) in At::whole(&node).keys(KEYS, &mut ignored)? {
        let full = format!("{origin}, {key}");
        match key {
            _ if at.is_null() => {}
            "instance-id" => settings.instance_id = Some(Sourced::new(at.text()?.to_owned(), full)),
            "local-hostname" | "hostname" => match users::host_label(&at) {
                Ok(label) if key == "hostname" => hostname = Some(Sourced::new(label, full)),
                Ok(label) => settings.hostname = Some(Sourced::new(label, full)),
                Err(error) => wrong = Some(error),
            },
            _ => keys.extend(public_keys(&at)?.into_iter().map(|key| Sourced::new(key, full.clone()))),
        }
    }
    settings.hostname = settings.hostname.or(hostname);
    settings.ignored = ignored.into_iter().map(|key| format!("{origin}, {key}")).collect();
    Ok(MetaData { settings, keys, hostname: wrong })
}

/// Keys, or keys with names.
fn public_keys(at: &At<'_>) -> Result<Vec<String>, SeedError> {
    if at.is_list() || at.as_text().is_some() {
        return users::ssh_keys(at);
    }
    let mut keys = Vec::new();
    for (_, at) in at.entries()? {
        keys.extend(users::ssh_keys(&at)?);
    }
    Ok(keys)
}
