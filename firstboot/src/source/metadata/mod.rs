//! A cloud's metadata: a server that only this machine reaches, over plain HTTP. It is asked when the image or another
//! source says so, after the network is up; what it said is kept, so that a later boot does not need it. The texts are
//! those of a NoCloud seed.

mod client;
mod ec2;
mod gce;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::machine::Machine;
use crate::schema::{Cloud, Cluster};
use crate::seed::{self, Texts};
use crate::settings::Settings;
use crate::settings::keys::SettingError;
use crate::source::error::{MetadataError, SourceError};
use crate::source::form::Source;
use crate::source::kept::{keep, kept};
use crate::source::metadata::client::Client;

/// Where a node keeps what the metadata said, relative to the root.
pub const KEPT_FILE: &str = "var/lib/kiln/metadata.json";

/// What the server said at this boot, or what is kept of it.
pub struct Metadata;

impl Source for Metadata {
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError> {
        match &machine.metadata {
            Some(settings) => Ok(Some(settings.clone())),
            None => Ok(kept(&machine.root, KEPT_FILE)?),
        }
    }
}

/// What a seed's `meta-data` has; JSON is YAML too.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MetaData {
    instance_id: String,
    local_hostname: Option<String>,
    public_keys: Vec<String>,
}

/// Asks the server of `cloud`, for up to `wait` in all.
///
/// # Errors
/// It does not answer, refuses, or says what cannot be used.
pub fn fetch(
    cloud: Cloud,
    server: SocketAddr,
    wait: Duration,
    cluster: &Cluster,
) -> Result<Settings, MetadataError> {
    #[expect(clippy::disallowed_methods, reason = "a time-out, in no output")]
    let start = Instant::now();
    let client = Client { cloud, server, start, wait };
    let said = match cloud {
        Cloud::Ec2 => ec2::ask(&client)?,
        Cloud::Gce => gce::ask(&client)?,
    };
    let source = format!("{cloud} metadata");
    let mut meta = MetaData { instance_id: said.instance_id, local_hostname: None, public_keys: said.keys };
    let mut ignored = Vec::new();
    // Clouds name machines as they like: a name counts when it is one of the table's.
    if let Some(hostname) = said.hostname {
        let label = hostname.split('.').next().unwrap_or_default();
        if cluster.nodes.iter().any(|node| node.name == label) {
            meta.local_hostname = Some(label.to_owned());
        } else {
            ignored.push(format!("{source}, host name {}", crate::console::shown(&hostname)));
        }
    }
    let meta = serde_json::to_vec(&meta).map_err(|error| client.wrong("meta-data", error.to_string()))?;
    let texts: Texts = [Some(meta), said.user_data, None, None];
    let seed = seed::parse(&source, &texts);
    let mut settings = seed.map_err(|(file, error)| MetadataError::Text { cloud, file, error })?;
    // Where DHCP gives the addresses, it gives this one.
    if let Some((address, network)) = said.address.zip(cluster.network.cidr)
        && settings.address.is_none()
    {
        let prefix = network.prefix_len();
        let one = Settings::from_pairs(&source, "", [("address", &*format!("{address}/{prefix}"))]);
        let wrong = |error: SettingError| client.wrong("address", error.to_string());
        settings.address = one.map_err(wrong)?.address;
    }
    settings.ignored.extend(ignored);
    Ok(keep(KEPT_FILE, settings)?)
}
