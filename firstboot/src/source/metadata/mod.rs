//! A cloud's metadata: a server that only this machine reaches, over plain HTTP. It is asked when the image or another
//! source says so, after the network is up; what it said is kept, so that a later boot does not need it. The texts are
//! those of a NoCloud seed.

mod ec2;
mod gce;

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::kept::{KeptError, keep, kept};
use super::{Settings, Source, SourceError};
use crate::http::{Answer, Request, send};
use crate::machine::Machine;
use crate::schema::{Cloud, Cluster};
use crate::seed::{self, Texts};

/// Where a node keeps what the metadata said, relative to the root.
pub const KEPT_FILE: &str = "var/lib/kiln/metadata.json";

/// The longest that one request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long to wait before the server is asked again.
const PAUSE: Duration = Duration::from_millis(500);

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

/// The metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The server does not answer in time.
    #[error("{cloud} metadata, {path}: no answer from {server} in {seconds} s: {last}")]
    Silent {
        /// The cloud.
        cloud: Cloud,
        /// What was asked for.
        path: String,
        /// The server.
        server: SocketAddr,
        /// How long it was tried.
        seconds: u64,
        /// What went wrong the last time.
        last: String,
    },
    /// The server refuses.
    #[error("{cloud} metadata, {path}: the server answers with status {status}{hint}")]
    Refused {
        /// The cloud.
        cloud: Cloud,
        /// What was asked for.
        path: String,
        /// Its status.
        status: u16,
        /// What that means there.
        hint: &'static str,
    },
    /// The answer is not what that cloud's server says.
    #[error("{cloud} metadata, {path}: {what}")]
    Wrong {
        /// The cloud.
        cloud: Cloud,
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// One of the texts is wrong.
    #[error("{cloud} metadata, {file}, {error}")]
    Text {
        /// The cloud.
        cloud: Cloud,
        /// The text.
        file: &'static str,
        /// What is wrong with it.
        error: seed::SeedError,
    },
    /// It cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeptError),
}

impl MetadataError {
    /// Whether it is for want of an answer, which an earlier boot's may stand in for.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

/// What a cloud's server says, before it is read.
#[derive(Debug, Default)]
struct Said {
    instance_id: String,
    hostname: Option<String>,
    address: Option<String>,
    keys: Vec<String>,
    user_data: Option<Vec<u8>>,
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
        let wrong = |error: super::SettingError| client.wrong("address", error.to_string());
        settings.address = one.map_err(wrong)?.address;
    }
    settings.ignored.extend(ignored);
    Ok(keep(KEPT_FILE, settings)?)
}

/// Asks one server, again and again until the time is over.
struct Client {
    cloud: Cloud,
    server: SocketAddr,
    start: Instant,
    wait: Duration,
}

impl Client {
    /// The body; `None` when there is no such thing there.
    fn get(&self, path: &str, fields: &[(&str, &str)]) -> Result<Option<Vec<u8>>, MetadataError> {
        Ok(self.ask(&Request { method: "GET", path, fields })?.map(|answer| answer.body))
    }

    /// As [`Client::get`], for a line of text.
    fn line(&self, path: &str, fields: &[(&str, &str)]) -> Result<Option<String>, MetadataError> {
        self.get(path, fields)?.map(|body| self.text(path, body)).transpose()
    }

    fn text(&self, path: &str, body: Vec<u8>) -> Result<String, MetadataError> {
        let text = String::from_utf8(body).ok().map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty() && !text.chars().any(|char| char.is_control() && char != '\n'))
            .ok_or_else(|| self.wrong(path, "the answer is no text".to_owned()))
    }

    fn ask(&self, request: &Request<'_>) -> Result<Option<Answer>, MetadataError> {
        loop {
            let left = self.wait.saturating_sub(self.start.elapsed());
            // A server that is there answers at once; it is asked once even when there is no time to wait.
            let last = match send(self.server, request, REQUEST.min(left.max(PAUSE))) {
                Ok(answer) => match answer.status {
                    200 => return Ok(Some(answer)),
                    404 => return Ok(None),
                    408 | 429 | 500.. => format!("status {}", answer.status),
                    status => {
                        let (cloud, path) = (self.cloud, request.path.to_owned());
                        let hint = if status == 403 { "; it is switched off for this machine" } else { "" };
                        return Err(MetadataError::Refused { cloud, path, status, hint });
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(self.wrong(request.path, error.to_string()));
                }
                Err(error) => error.to_string(),
            };
            if self.start.elapsed() + PAUSE >= self.wait {
                let (cloud, server, seconds) = (self.cloud, self.server, self.wait.as_secs());
                let path = request.path.to_owned();
                return Err(MetadataError::Silent { cloud, path, server, seconds, last });
            }
            thread::sleep(PAUSE);
        }
    }

    /// What has to be there.
    fn needed<T>(&self, path: &str, found: Option<T>) -> Result<T, MetadataError> {
        found.ok_or_else(|| self.wrong(path, "there is no such thing".to_owned()))
    }

    fn wrong(&self, path: &str, what: String) -> MetadataError {
        MetadataError::Wrong { cloud: self.cloud, path: path.to_owned(), what }
    }
}
