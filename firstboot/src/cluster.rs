//! Reads the node table of the image and checks it, so that nothing behind this module has to: names are labels,
//! ranges do not overlap, every address lies where it belongs. It does not choose the node.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;

use crate::console::shown;
use crate::schema::{CLUSTER_FILE, Cluster, VERSION};

/// The node table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It is not the JSON that [`Cluster`] describes.
    #[error("node table /{CLUSTER_FILE}: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer builder wrote it.
    #[error("node table /{CLUSTER_FILE}: version {0} is newer than this firstboot understands ({VERSION})")]
    Newer(u32),
    /// Its format is right and what it says is not.
    #[error("node table /{CLUSTER_FILE}: {0}")]
    Wrong(String),
}

/// The part of every version of the table that tells which one it is.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl Cluster {
    /// Parses and checks a node table.
    ///
    /// # Errors
    /// The text is not a table of this version, or the table contradicts itself.
    pub fn parse(json: &[u8]) -> Result<Self, ClusterError> {
        let head: Head = serde_json::from_slice(json)?;
        if head.version > VERSION {
            return Err(ClusterError::Newer(head.version));
        }
        let cluster: Self = serde_json::from_slice(json)?;
        cluster.check().map_err(ClusterError::Wrong)?;
        Ok(cluster)
    }

    fn check(&self) -> Result<(), String> {
        label("name", &self.name)?;
        domain("domain", &self.domain)?;
        domain("cluster-domain", &self.cluster_domain)?;
        let network = self.network.cidr.map(|network| ("network.cidr", network));
        let mut ranges: Vec<_> = network.into_iter().collect();
        ranges.extend([("pod-cidr", self.pod_cidr), ("service-cidr", self.service_cidr)]);
        for (key, range) in &ranges {
            whole_range(key, *range)?;
        }
        apart(&ranges)?;
        if let Some(gateway) = self.network.gateway {
            self.in_network("network.gateway", Some(gateway))?;
        }
        if self.nodes.is_empty() {
            return Err("`nodes` is empty".to_owned());
        }
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            label("nodes.name", &node.name)?;
            label("nodes.role", &node.role)?;
            let key = |field: &str| format!("{field} of node `{}`", node.name);
            self.in_network(&key("ip"), node.ip)?;
            if let Some(pods) = node.pod_cidr {
                whole_range(&key("pod-cidr"), pods)?;
                if !self.pod_cidr.contains(&pods) {
                    return Err(format!("{} is {pods}, outside {}", key("pod-cidr"), self.pod_cidr));
                }
            }
            if let Some(ip) = node.ip.filter(|ip| self.network.gateway == Some(*ip)) {
                return Err(format!("{} is {ip}, the gateway's", key("ip")));
            }
            let values = [format!("name `{}`", node.name), format!("mac {}", node.mac)];
            for value in values.into_iter().chain(node.ip.map(|ip| format!("ip {ip}"))) {
                if !seen.insert(value.clone()) {
                    return Err(format!("two nodes have the {value}"));
                }
            }
        }
        let pods = self.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.pod_cidr?)));
        apart(&pods.collect::<Vec<_>>())
    }
}

impl Cluster {
    /// There are addresses when there is a range for them, and only then.
    fn in_network(&self, key: &str, ip: Option<Ipv4Addr>) -> Result<(), String> {
        match (ip, self.network.cidr) {
            (Some(ip), Some(network)) => host_in(key, ip, network),
            (Some(ip), None) => Err(format!("{key} is {ip}, and there is no `network.cidr`: DHCP gives it")),
            (None, Some(network)) => Err(format!("{key} is missing, and `network.cidr` is {network}")),
            (None, None) => Ok(()),
        }
    }
}

/// Whether `text` is a DNS label as host names use it: lower case, digits and inner hyphens (RFC 1123), 63 at most.
pub fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `ip` can belong to a host in `range`: neither its first nor its last address, as far as it has these.
pub fn is_host_in(ip: Ipv4Addr, range: Ipv4Net) -> bool {
    let edge = range.prefix_len() < 31 && (ip == range.network() || ip == range.broadcast());
    range.contains(&ip) && !edge
}

fn label(key: &str, text: &str) -> Result<(), String> {
    if is_label(text) {
        return Ok(());
    }
    Err(format!("`{key}` is `{}`, not a name of lower-case letters, digits and hyphens", shown(text)))
}

fn domain(key: &str, text: &str) -> Result<(), String> {
    if text.len() <= 189 && text.split('.').all(is_label) {
        return Ok(());
    }
    Err(format!("`{key}` is `{}`, not a domain of names and dots", shown(text)))
}

fn whole_range(key: &str, range: Ipv4Net) -> Result<(), String> {
    if range == range.trunc() {
        return Ok(());
    }
    Err(format!("{key} is {range}, an address inside {}; write the range", range.trunc()))
}

fn host_in(key: &str, ip: Ipv4Addr, range: Ipv4Net) -> Result<(), String> {
    if is_host_in(ip, range) {
        return Ok(());
    }
    Err(format!("{key} is {ip}, no host address of {range}"))
}

fn apart(ranges: &[(&str, Ipv4Net)]) -> Result<(), String> {
    for (index, (name, range)) in ranges.iter().enumerate() {
        for (other, with) in &ranges[..index] {
            if range.contains(with) || with.contains(range) {
                return Err(format!("`{other}` ({with}) and `{name}` ({range}) overlap"));
            }
        }
    }
    Ok(())
}
