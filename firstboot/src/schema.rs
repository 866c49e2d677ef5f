//! The node table: what an image knows of its cluster. `builder` writes it to [`CLUSTER_FILE`], `firstboot` reads it.
//!
//! It holds nothing secret and does not depend on anything secret. It does not own how a node is chosen from it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Where the node table lies in an image, relative to its root.
pub const CLUSTER_FILE: &str = "usr/lib/kiln/cluster.json";

/// Where an image keeps the files that firstboot completes with the node's values, relative to its root: the file
/// `usr/lib/kiln/node/etc/x` becomes `/etc/x`.
pub const NODE_TREE: &str = "usr/lib/kiln/node";

/// Where an image says which role it is, relative to its root: one line, the name in [`Node::role`].
pub const ROLE_FILE: &str = "usr/lib/kiln/role";

/// The newest version of the table that this program understands.
pub const VERSION: u32 = 1;

/// A whole cluster as its nodes see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cluster {
    /// Format version, [`VERSION`].
    pub version: u32,
    /// Cluster name, a DNS label.
    pub name: String,
    /// Release of the lockfile that the image was built from, for people.
    pub release: String,
    /// Domain of the node names in the hosts file.
    pub domain: String,
    /// Domain of Services.
    pub cluster_domain: String,
    /// Range of all pod addresses.
    pub pod_cidr: Ipv4Net,
    /// Range of the Service addresses.
    pub service_cidr: Ipv4Net,
    /// The network between the nodes.
    pub network: Network,
    /// The cloud whose metadata server every node asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Cloud>,
    /// Every node of the cluster, in the order of the profile.
    pub nodes: Vec<Node>,
}

/// A cloud with a metadata server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon EC2, or a cloud with the same service.
    Ec2,
    /// Google Compute Engine.
    Gce,
}

impl FromStr for Cloud {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Ec2, Self::Gce].into_iter().find(|cloud| cloud.to_string() == text).ok_or(())
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ec2 => "ec2",
            Self::Gce => "gce",
        })
    }
}

/// The network between the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// The range that holds every node's address; none when DHCP gives the addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Ipv4Net>,
    /// Default gateway; without one the nodes reach only each other.
    pub gateway: Option<Ipv4Addr>,
    /// Resolvers, possibly none.
    pub dns: Vec<Ipv4Addr>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    /// Host name, a DNS label, unique in the cluster.
    pub name: String,
    /// Role, the name of an image.
    pub role: String,
    /// What it does for the cluster; the recipes of its role say so.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub duties: BTreeSet<Duty>,
    /// Address of the network card that firstboot recognises the node by.
    pub mac: Mac,
    /// Address in [`Network::cidr`]; none when DHCP gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ipv4Addr>,
    /// Range of this node's pods, inside [`Cluster::pod_cidr`]; none where no pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_cidr: Option<Ipv4Net>,
}

/// What a node does for its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// Runs pods, and has a Node object.
    Kubelet,
    /// Keeps the cluster's data, as a member of etcd.
    Etcd,
    /// Serves the Kubernetes API.
    ApiServer,
    /// Runs the controller manager and the scheduler.
    Controllers,
    /// Passes what comes to the API's port on to the API servers.
    LoadBalancer,
}

impl Node {
    /// Whether a duty is among its own.
    #[must_use]
    pub fn has(&self, duty: Duty) -> bool {
        self.duties.contains(&duty)
    }
}

impl Cluster {
    /// The nodes that have a duty, in the order of the profile.
    pub fn with(&self, duty: Duty) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.has(duty))
    }
}

/// A 48-bit Ethernet address, written as six lower-case hexadecimal pairs with colons (IEEE 802).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// The text is not six pairs of hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address; write six pairs of hexadecimal digits like `52:54:00:12:34:56`")]
pub struct MacError(String);

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let wrong = || MacError(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.trim().split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            if !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(octets)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
