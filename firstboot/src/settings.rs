//! What the sources say of a node, as plain data: each value with the place that it came from. It does not know how a
//! source is written, nor what the values are used for.

pub mod interface;
pub mod keys;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::schema::Cloud;
use crate::settings::interface::{Account, Interface};

/// A value and where it came from, in words for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// Name of a node of the node table.
    pub node: Option<Sourced<String>>,
    /// Host name, where it is to differ from the node's; it picks the node where nothing else does.
    pub hostname: Option<Sourced<String>>,
    /// Those of lower precedence, in its order: one of them may be a node's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_hostnames: Vec<Sourced<String>>,
    /// Address with the length of its network's prefix.
    pub address: Option<Sourced<Ipv4Net>>,
    /// Default gateway.
    pub gateway: Option<Sourced<Ipv4Addr>>,
    /// Resolvers.
    pub dns: Option<Sourced<Vec<IpAddr>>>,
    /// Range of this node's pods.
    pub pod_cidr: Option<Sourced<Ipv4Net>>,
    /// Addresses of other nodes, by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Sourced<BTreeMap<String, Ipv4Addr>>>,
    /// The cloud whose metadata server is to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Sourced<Cloud>>,
    /// What this machine's data are called, another name whenever they are other data.
    pub instance_id: Option<Sourced<String>>,
    /// Users and their keys.
    pub accounts: Vec<Sourced<Account>>,
    /// Network cards, the cluster's own perhaps among them.
    pub interfaces: Vec<Sourced<Interface>>,
    /// What a source says that Kiln's images do not do, by name.
    pub ignored: Vec<String>,
    /// What says that a NoCloud disk is to come.
    #[serde(skip)]
    pub announced: Option<String>,
    /// Whether a NoCloud disk is there; without it, a seed is what is kept of an earlier one.
    #[serde(skip)]
    pub disk: bool,
    /// Files that keep what a source said, with paths relative to the root.
    #[serde(skip)]
    pub kept: Vec<(&'static str, String)>,
    /// A tar stream with identities, as the identity partition has it.
    #[serde(skip)]
    pub identity: Option<Content>,
}

impl Settings {
    /// Fills what is missing from a source of lower precedence.
    #[must_use]
    pub fn or(mut self, lower: Self) -> Self {
        // One account is one file of keys, whichever sources give them.
        lower.accounts.into_iter().for_each(|account| add_account(&mut self.accounts, account));
        let mut hostnames = (self.hostname.into_iter().chain(self.other_hostnames))
            .chain(lower.hostname)
            .chain(lower.other_hostnames);
        Self {
            node: self.node.or(lower.node),
            hostname: hostnames.next(),
            other_hostnames: hostnames.collect(),
            address: self.address.or(lower.address),
            gateway: self.gateway.or(lower.gateway),
            dns: self.dns.or(lower.dns),
            pod_cidr: self.pod_cidr.or(lower.pod_cidr),
            peers: self.peers.or(lower.peers),
            metadata: self.metadata.or(lower.metadata),
            instance_id: self.instance_id.or(lower.instance_id),
            accounts: self.accounts,
            interfaces: [self.interfaces, lower.interfaces].concat(),
            ignored: [self.ignored, lower.ignored].concat(),
            announced: self.announced.or(lower.announced),
            disk: self.disk || lower.disk,
            kept: [self.kept, lower.kept].concat(),
            identity: self.identity.or(lower.identity),
        }
    }

    /// Where the first value comes from that means nothing without a node.
    pub fn first_origin(&self) -> Option<&str> {
        [
            self.hostname.as_ref().map(|value| &value.origin),
            self.address.as_ref().map(|value| &value.origin),
            self.gateway.as_ref().map(|value| &value.origin),
            self.dns.as_ref().map(|value| &value.origin),
            self.pod_cidr.as_ref().map(|value| &value.origin),
            self.peers.as_ref().map(|value| &value.origin),
            self.accounts.first().map(|value| &value.origin),
            self.interfaces.first().map(|value| &value.origin),
        ]
        .into_iter()
        .flatten()
        .next()
        .map(String::as_str)
    }
}

/// Adds an account, or its keys to the one of that name.
pub fn add_account(accounts: &mut Vec<Sourced<Account>>, new: Sourced<Account>) {
    let Some(known) = accounts.iter_mut().find(|known| known.value.name == new.value.name) else {
        accounts.push(new);
        return;
    };
    for key in new.value.keys {
        if !known.value.keys.contains(&key) {
            known.value.keys.push(key);
        }
    }
    if known.origin.is_empty() {
        known.origin = new.origin;
    } else if !new.origin.is_empty() && !known.origin.split("; ").any(|origin| origin == new.origin) {
        known.origin = format!("{}; {}", known.origin, new.origin);
    }
}
