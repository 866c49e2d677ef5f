//! The keys that any source can set and the forms of their values: one vocabulary, whatever the prefix that a source
//! writes before them. It does not know how a source is written or found.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::cluster::{is_host_in, is_label};
use crate::console::shown;
use crate::schema::Cloud;
use crate::settings::{Settings, Sourced};

/// A key of [`Settings`], as sources write it behind their prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `address`: an address with prefix length, like `192.168.122.11/24`.
    Address,
    /// `dns`: addresses of resolvers with commas between them.
    Dns,
    /// `gateway`: an address.
    Gateway,
    /// `hostname`: a DNS label.
    Hostname,
    /// `metadata`: a cloud.
    Metadata,
    /// `node`: a node of the node table.
    Node,
    /// `peers`: nodes and their addresses, like `server=192.168.122.10`, with commas between them.
    Peers,
    /// `pod-cidr`: a range, like `10.200.1.0/24`.
    PodCidr,
}

impl Key {
    /// Every key, sorted by name.
    pub const ALL: [Self; 8] = [
        Self::Address,
        Self::Dns,
        Self::Gateway,
        Self::Hostname,
        Self::Metadata,
        Self::Node,
        Self::Peers,
        Self::PodCidr,
    ];

    /// The key as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Dns => "dns",
            Self::Gateway => "gateway",
            Self::Hostname => "hostname",
            Self::Metadata => "metadata",
            Self::Node => "node",
            Self::Peers => "peers",
            Self::PodCidr => "pod-cidr",
        }
    }
}

/// A key or its value is wrong; keys carry the prefix of their source.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such key.
    #[error("unknown key `{key}`; did you mean `{nearest}`? The keys are {valid}")]
    Unknown {
        /// What stands there.
        key: String,
        /// The valid key that looks most like it.
        nearest: String,
        /// All keys.
        valid: String,
    },
    /// A key stands there twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// A key has no value or one of another form.
    #[error("`{key}` is `{value}`; write {expected}")]
    Value {
        /// The key.
        key: String,
        /// What stands there.
        value: String,
        /// The form that it should have, with an example.
        expected: &'static str,
    },
}

impl Settings {
    /// Reads keys (without the source's `prefix`) and values. `source` names the source in the record.
    ///
    /// # Errors
    /// A key is unknown or given twice, or a value does not have its key's form.
    pub fn from_pairs<'a>(
        source: &str,
        prefix: &str,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        for (name, value) in pairs {
            let key = Key::ALL.into_iter().find(|key| key.name() == name);
            let key = key.ok_or_else(|| unknown(prefix, name))?;
            let full = format!("{prefix}{name}");
            let origin = format!("{source}, {full}");
            let twice = match key {
                Key::Address => set(&mut settings.address, origin, address(value)),
                Key::Dns => set(&mut settings.dns, origin, resolvers(value)),
                Key::Gateway => set(&mut settings.gateway, origin, gateway(value)),
                Key::Hostname => set(&mut settings.hostname, origin, label(value)),
                Key::Metadata => set(&mut settings.metadata, origin, cloud(value)),
                Key::Node => set(&mut settings.node, origin, label(value)),
                Key::Peers => set(&mut settings.peers, origin, peers(value)),
                Key::PodCidr => set(&mut settings.pod_cidr, origin, range(value)),
            };
            let wrong = |expected| SettingError::Value { key: full.clone(), value: shown(value), expected };
            let twice = twice.map_err(wrong)?;
            if twice {
                return Err(SettingError::Twice(full));
            }
        }
        Ok(settings)
    }
}

/// Sets a value, and tells whether it had been set before.
fn set<T>(
    slot: &mut Option<Sourced<T>>,
    origin: String,
    value: Result<T, &'static str>,
) -> Result<bool, &'static str> {
    Ok(slot.replace(Sourced::new(value?, origin)).is_some())
}

fn unknown(prefix: &str, name: &str) -> SettingError {
    let full = |key: Key| format!("{prefix}{}", key.name());
    let nearest = Key::ALL.into_iter().min_by_key(|key| strsim::levenshtein(key.name(), &shown(name)));
    SettingError::Unknown {
        key: format!("{prefix}{}", shown(name)),
        nearest: nearest.map(full).unwrap_or_default(),
        valid: Key::ALL.map(|key| format!("`{}`", full(key))).join(", "),
    }
}

fn label(value: &str) -> Result<String, &'static str> {
    if is_label(value) {
        Ok(value.to_owned())
    } else {
        Err("a name of lower-case letters, digits and hyphens, like `node-0`")
    }
}

/// The first part of a host name; cloud-init's users also write it with its domain or in capitals.
///
/// # Errors
/// It is none; the form that it should have.
pub fn first_label(name: &str) -> Result<String, &'static str> {
    let name = name.to_ascii_lowercase();
    let label = name.split('.').next().unwrap_or_default();
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("a host name of letters, digits and hyphens, like `node-0`");
    }
    Ok(label.to_owned())
}

fn address(value: &str) -> Result<Ipv4Net, &'static str> {
    let parsed: Option<Ipv4Net> = value.parse().ok();
    parsed
        .filter(|net| net.prefix_len() > 0 && is_host_in(net.addr(), *net) && is_unicast(net.addr()))
        .ok_or("a host's address with the length of its network's prefix, like `192.168.122.11/24`")
}

fn gateway(value: &str) -> Result<Ipv4Addr, &'static str> {
    value.parse().ok().filter(|ip| is_unicast(*ip)).ok_or("a host's address, like `192.168.122.1`")
}

fn resolvers(value: &str) -> Result<Vec<IpAddr>, &'static str> {
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => is_unicast(*ip),
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast()),
    };
    let parse = |text: &str| text.parse().ok().filter(usable);
    value.split(',').map(parse).collect::<Option<_>>().ok_or("resolvers, like `192.168.122.1,2001:db8::1`")
}

fn peers(value: &str) -> Result<BTreeMap<String, Ipv4Addr>, &'static str> {
    const EXPECTED: &str =
        "nodes and their addresses, each once, like `server=192.168.122.10,node-1=192.168.122.12`";
    let mut peers = BTreeMap::new();
    for part in value.split(',') {
        let (name, address) = part.split_once('=').ok_or(EXPECTED)?;
        if peers.insert(label(name.trim())?, gateway(address.trim()).map_err(|_| EXPECTED)?).is_some() {
            return Err(EXPECTED);
        }
    }
    Ok(peers)
}

fn cloud(value: &str) -> Result<Cloud, &'static str> {
    value.parse().map_err(|()| "`ec2` or `gce`")
}

fn range(value: &str) -> Result<Ipv4Net, &'static str> {
    let parsed: Option<Ipv4Net> = value.parse().ok();
    parsed.filter(|net| *net == net.trunc()).ok_or("a range of addresses, like `10.200.1.0/24`")
}

fn is_unicast(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
}
