//! The values that a source can set, their keys and their forms: one vocabulary for every source, whatever the
//! prefix of its keys. It does not know how a source is written or found.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::cluster::{is_host_in, is_label};
use crate::console::shown;

/// A value and where it came from, in words for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// The source, and the key in it.
    pub origin: String,
}

impl<T> Sourced<T> {
    /// `value` from `origin`.
    pub fn new(value: T, origin: impl Into<String>) -> Self {
        Self { value, origin: origin.into() }
    }
}

/// What the sources say; each value may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name of a node of the node table.
    pub node: Option<Sourced<String>>,
    /// Host name, where it is to differ from the node's.
    pub hostname: Option<Sourced<String>>,
    /// Address with the length of its network's prefix.
    pub address: Option<Sourced<Ipv4Net>>,
    /// Default gateway.
    pub gateway: Option<Sourced<Ipv4Addr>>,
    /// Range of this node's pods.
    pub pod_cidr: Option<Sourced<Ipv4Net>>,
}

/// A key of [`Settings`], as sources write it behind their prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `address`: an address with prefix length, like `192.168.122.11/24`.
    Address,
    /// `gateway`: an address.
    Gateway,
    /// `hostname`: a DNS label.
    Hostname,
    /// `node`: a node of the node table.
    Node,
    /// `pod-cidr`: a range, like `10.200.1.0/24`.
    PodCidr,
}

impl Key {
    /// Every key, sorted by name.
    pub const ALL: [Self; 5] = [Self::Address, Self::Gateway, Self::Hostname, Self::Node, Self::PodCidr];

    /// The key as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Gateway => "gateway",
            Self::Hostname => "hostname",
            Self::Node => "node",
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
                Key::Gateway => set(&mut settings.gateway, origin, gateway(value)),
                Key::Hostname => set(&mut settings.hostname, origin, label(value)),
                Key::Node => set(&mut settings.node, origin, label(value)),
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

    /// Fills what is missing from a source of lower precedence.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            node: self.node.or(lower.node),
            hostname: self.hostname.or(lower.hostname),
            address: self.address.or(lower.address),
            gateway: self.gateway.or(lower.gateway),
            pod_cidr: self.pod_cidr.or(lower.pod_cidr),
        }
    }

    /// Where the first value comes from that means nothing without a node.
    pub fn first_origin(&self) -> Option<&str> {
        [
            self.hostname.as_ref().map(|value| &value.origin),
            self.address.as_ref().map(|value| &value.origin),
            self.gateway.as_ref().map(|value| &value.origin),
            self.pod_cidr.as_ref().map(|value| &value.origin),
        ]
        .into_iter()
        .flatten()
        .next()
        .map(String::as_str)
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

fn address(value: &str) -> Result<Ipv4Net, &'static str> {
    let parsed: Option<Ipv4Net> = value.parse().ok();
    parsed
        .filter(|net| net.prefix_len() > 0 && is_host_in(net.addr(), *net) && is_unicast(net.addr()))
        .ok_or("a host's address with the length of its network's prefix, like `192.168.122.11/24`")
}

fn gateway(value: &str) -> Result<Ipv4Addr, &'static str> {
    value.parse().ok().filter(|ip| is_unicast(*ip)).ok_or("a host's address, like `192.168.122.1`")
}

fn range(value: &str) -> Result<Ipv4Net, &'static str> {
    let parsed: Option<Ipv4Net> = value.parse().ok();
    parsed.filter(|net| *net == net.trunc()).ok_or("a range of addresses, like `10.200.1.0/24`")
}

fn is_unicast(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
}
