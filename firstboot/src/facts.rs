//! Resolves what the sources say and what the node table says into the values of one node, each with its origin,
//! and checks that they fit together. It neither reads sources nor knows which files the values end up in.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::cluster::is_host_in;
use crate::machine::Card;
use crate::schema::{Cluster, Mac, Node};
use crate::source::{Settings, Sourced};

/// Every value of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Name in the node table, in certificates and in the API.
    pub node_name: Sourced<String>,
    /// The name with the cluster's domain, as in certificates.
    pub node_fqdn: String,
    /// Host name of the system, usually the node's name.
    pub hostname: Sourced<String>,
    /// Address and prefix length.
    pub address: Sourced<Ipv4Net>,
    /// Default gateway.
    pub gateway: Option<Sourced<Ipv4Addr>>,
    /// Resolvers.
    pub dns: Vec<Ipv4Addr>,
    /// The network card that gets the address.
    pub mac: Sourced<Mac>,
    /// Range of this node's pods.
    pub pod_cidr: Sourced<Ipv4Net>,
    /// Every other node, in the table's order.
    pub peers: Vec<Peer>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Range of its pods.
    pub pod_cidr: Ipv4Net,
}

/// A value for the record: what it is, what it is called and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Name of the value.
    pub key: String,
    /// The value as text.
    pub value: String,
    /// Where it came from.
    pub source: String,
}

/// The values do not fit together or not this image.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The node belongs to another image.
    #[error(
        "{origin}: node `{node}` has the role `{role}`, and this is the image of the role `{image}`; boot it from `{role}.qcow2`"
    )]
    Role {
        /// What picked the node.
        origin: String,
        /// The node.
        node: String,
        /// Its role.
        role: String,
        /// The image's.
        image: String,
    },
    /// The node was picked by name, and it is not clear which card is meant.
    #[error(
        "{origin}: node `{node}` has the network card {mac} in the node table, and this machine has {cards}; \
         give it one card, or one with that address"
    )]
    Card {
        /// What picked the node.
        origin: String,
        /// The node.
        node: String,
        /// The card that the table gives it.
        mac: Mac,
        /// The cards of the machine.
        cards: String,
    },
    /// A source overrides a value with one that does not fit.
    #[error("{origin}: {value} {reason}")]
    Misfit {
        /// Source and key.
        origin: String,
        /// The value.
        value: String,
        /// What it conflicts with.
        reason: String,
    },
}

impl Facts {
    /// Resolves the values of `node`, which is a node of `cluster`; `settings` override the table's.
    ///
    /// # Errors
    /// The node has another role than the image, or an overriding value contradicts the rest.
    pub fn resolve(
        cluster: &Cluster,
        role: &str,
        settings: &Settings,
        node: &Sourced<&Node>,
        cards: &[Card],
    ) -> Result<Self, FactsError> {
        let Sourced { value: node, origin } = node;
        if node.role != role {
            return Err(FactsError::Role {
                origin: origin.clone(),
                node: node.name.clone(),
                role: node.role.clone(),
                image: role.to_owned(),
            });
        }
        // The table answers for what no source sets; that node was picked by a source still is to be seen.
        let table = if origin.starts_with("node table") {
            origin.clone()
        } else {
            format!("node table, by {origin}")
        };
        let prefix = cluster.network.cidr.prefix_len();
        let planned = Ipv4Net::new_assert(node.ip, prefix);
        let facts = Self {
            node_name: Sourced::new(node.name.clone(), origin),
            node_fqdn: format!("{}.{}", node.name, cluster.domain),
            hostname: settings.hostname.clone().unwrap_or_else(|| Sourced::new(node.name.clone(), &table)),
            address: settings.address.clone().unwrap_or_else(|| Sourced::new(planned, &table)),
            gateway: (settings.gateway.clone())
                .or_else(|| cluster.network.gateway.map(|gateway| Sourced::new(gateway, &table))),
            dns: cluster.network.dns.clone(),
            mac: card(node, origin, &table, cards)?,
            pod_cidr: settings.pod_cidr.clone().unwrap_or_else(|| Sourced::new(node.pod_cidr, &table)),
            peers: (cluster.nodes.iter().filter(|peer| peer.name != node.name))
                .map(|peer| Peer { name: peer.name.clone(), ip: peer.ip, pod_cidr: peer.pod_cidr })
                .collect(),
        };
        facts.check(cluster, settings)?;
        Ok(facts)
    }

    /// The checks of the node table again, for values that override it.
    fn check(&self, cluster: &Cluster, settings: &Settings) -> Result<(), FactsError> {
        let address = &self.address;
        for peer in &self.peers {
            if peer.ip == address.value.addr() {
                return Err(misfit(address, &format!("is the address of node `{}`", peer.name)));
            }
            if !is_host_in(peer.ip, address.value) {
                let reason = format!("cannot reach node `{}` at {} directly", peer.name, peer.ip);
                return Err(misfit(address, &reason));
            }
        }
        for range in [cluster.pod_cidr, cluster.service_cidr] {
            if overlap(range, address.value) {
                let reason = format!("is in a network that overlaps {range}, which pods and Services have");
                return Err(misfit(address, &reason));
            }
        }
        if let Some(gateway) = &self.gateway
            && (gateway.value == address.value.addr() || !is_host_in(gateway.value, address.value))
        {
            // The table's own gateway fits the table's own address: one of the two was set.
            return Err(match settings.gateway {
                Some(_) => {
                    misfit(gateway, &format!("cannot be the gateway of the address {}", address.value))
                }
                None => misfit(address, &format!("does not go with the gateway {}", gateway.value)),
            });
        }
        let pods = &self.pod_cidr;
        if !cluster.pod_cidr.contains(&pods.value) {
            return Err(misfit(pods, &format!("is outside the cluster's pod range {}", cluster.pod_cidr)));
        }
        match self.peers.iter().find(|peer| overlap(peer.pod_cidr, pods.value)) {
            Some(peer) => Err(misfit(
                pods,
                &format!("overlaps {}, the pod range of node `{}`", peer.pod_cidr, peer.name),
            )),
            None => Ok(()),
        }
    }

    /// Every value and where it came from, in the order of the console and the record.
    pub fn values(&self) -> Vec<Value> {
        let value = |key: &str, value: String, source: &str| Value {
            key: key.to_owned(),
            value,
            source: source.to_owned(),
        };
        let mut values = vec![
            value("hostname", self.hostname.value.clone(), &self.hostname.origin),
            value("card", self.mac.value.to_string(), &self.mac.origin),
            value("address", self.address.value.to_string(), &self.address.origin),
        ];
        if let Some(gateway) = &self.gateway {
            values.push(value("gateway", gateway.value.to_string(), &gateway.origin));
        }
        values.push(value("pod-cidr", self.pod_cidr.value.to_string(), &self.pod_cidr.origin));
        let routes: Vec<_> = self
            .peers
            .iter()
            .map(|peer| format!("{} via {} ({})", peer.pod_cidr, peer.ip, peer.name))
            .collect();
        if !routes.is_empty() {
            values.push(value("routes", routes.join(", "), "node table"));
        }
        values
    }
}

/// The card of the table when the machine has it, else the machine's only one: a node that was picked by name may
/// run on other hardware.
fn card(node: &Node, origin: &str, table: &str, cards: &[Card]) -> Result<Sourced<Mac>, FactsError> {
    if cards.is_empty() || cards.iter().any(|card| card.mac == node.mac) {
        return Ok(Sourced::new(node.mac, table));
    }
    if let [only] = cards {
        return Ok(Sourced::new(only.mac, format!("the only network card, {}", only.name)));
    }
    Err(FactsError::Card {
        origin: origin.to_owned(),
        node: node.name.clone(),
        mac: node.mac,
        cards: list(cards),
    })
}

/// The cards as a message shows them.
pub fn list(cards: &[Card]) -> String {
    if cards.is_empty() {
        return "no network card".to_owned();
    }
    let cards: Vec<_> = cards.iter().map(|card| format!("{} ({})", card.mac, card.name)).collect();
    cards.join(", ")
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.trunc()) || other.contains(&one)
}

fn misfit<T: ToString>(value: &Sourced<T>, reason: &str) -> FactsError {
    FactsError::Misfit {
        origin: value.origin.clone(),
        value: value.value.to_string(),
        reason: reason.to_owned(),
    }
}
