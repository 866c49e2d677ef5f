//! Google Compute Engine's metadata server: everything of the instance in one answer, as JSON. What it says besides is
//! the cloud's own matter. <https://cloud.google.com/compute/docs/metadata/querying-metadata>

use serde::Deserialize;

use crate::http::Request;
use crate::source::error::MetadataError;
use crate::source::metadata::client::{Client, Said};

const PATH: &str = "/computeMetadata/v1/instance/?recursive=true";
/// What every request has, and every answer of the real server.
const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");
/// What the comment of a key begins with that holds for some minutes only.
const TEMPORARY: &str = "google-ssh";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    id: u64,
    hostname: Option<String>,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    network_interfaces: Vec<NetworkInterface>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Attributes {
    user_data: Option<String>,
    ssh_keys: Option<String>,
}

#[derive(Deserialize)]
struct NetworkInterface {
    ip: Option<String>,
}

pub(super) fn ask(client: &Client) -> Result<Said, MetadataError> {
    let answer = client.ask(&Request { method: "GET", path: PATH, fields: &[FLAVOR] })?;
    let answer = client.needed(PATH, answer)?;
    let is_flavor = |(name, value): &(String, String)| (&**name, &**value) == FLAVOR;
    if !answer.fields.iter().any(is_flavor) {
        return Err(client.wrong(PATH, "the answer has no `Metadata-Flavor: Google`".to_owned()));
    }
    let instance = serde_json::from_slice(&answer.body);
    let instance: Instance = instance.map_err(|error| client.wrong(PATH, error.to_string()))?;
    Ok(Said {
        instance_id: instance.id.to_string(),
        hostname: instance.hostname,
        address: instance.network_interfaces.into_iter().next().and_then(|card| card.ip),
        keys: keys(&instance.attributes.ssh_keys.unwrap_or_default()),
        user_data: instance.attributes.user_data.map(String::into_bytes),
    })
}

/// The keys of `ssh-keys`, a line each as `USER:KEY`. A node has one user for all of them.
fn keys(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.contains(TEMPORARY));
    // A key alone has no colon before its type.
    let key = |line: &str| match line.split_once(':') {
        Some((user, key)) if !user.contains(' ') => key.trim().to_owned(),
        _ => line.trim().to_owned(),
    };
    lines.map(key).collect()
}
