//! Resolves what the sources say and what the node table says into the values of one node, each with its origin,
//! and checks that they fit together. It neither reads sources nor knows which files the values end up in.

mod cards;
pub mod check;
mod error;

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

pub use cards::list_cards;

use crate::card::Card;
use crate::record::Value;
use crate::resolved::instance;
use crate::schema::{Cluster, Mac, Node};
use crate::settings::interface::{Account, Interface};
use crate::settings::{Settings, Sourced};
pub use error::FactsError;
use error::list;

/// Every value of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Name in the node table, in certificates and in the API.
    pub node_name: Sourced<String>,
    /// The name with the cluster's domain, as in certificates.
    pub node_fqdn: String,
    /// Host name of the system, usually the node's name.
    pub hostname: Sourced<String>,
    /// Address and prefix length; none when DHCP gives it.
    pub address: Option<Sourced<Ipv4Net>>,
    /// What the node is called where the nodes look for each other, since nobody knows their addresses.
    pub announced: Option<String>,
    /// Default gateway.
    pub gateway: Option<Sourced<Ipv4Addr>>,
    /// Resolvers.
    pub dns: Sourced<Vec<IpAddr>>,
    /// The network card that gets the address.
    pub mac: Sourced<Mac>,
    /// Range of this node's pods; none where no pods run.
    pub pod_cidr: Option<Sourced<Ipv4Net>>,
    /// Every other node, in the table's order.
    pub peers: Vec<Peer>,
    /// What the network card gets besides: its further addresses and routes.
    pub own: Option<Sourced<Interface>>,
    /// Other network cards.
    pub others: Vec<Sourced<Interface>>,
    /// Users and their keys.
    pub accounts: Vec<Sourced<Account>>,
    /// What the seed calls its data.
    pub instance_id: Option<Sourced<String>>,
    /// Files that keep what a source said, with paths relative to the root.
    pub kept: Vec<(&'static str, String)>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its address, as far as it is known.
    pub ip: Option<Ipv4Addr>,
    /// Range of its pods; none where no pods run.
    pub pod_cidr: Option<Ipv4Net>,
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
        let network = cluster.network.cidr;
        let planned = node.ip.zip(network).map(|(ip, network)| Ipv4Net::new_assert(ip, network.prefix_len()));
        let known = settings.peers.as_ref();
        if let Some(Sourced { value, origin }) = known
            && let Some(name) =
                value.keys().find(|name| !cluster.nodes.iter().any(|node| node.name == **name))
        {
            let names: Vec<_> = cluster.nodes.iter().map(|node| format!("`{}`", node.name)).collect();
            return Err(FactsError::Misfit {
                origin: origin.clone(),
                value: format!("`{name}`"),
                reason: format!("is no node; the nodes are {}", names.join(", ")),
            });
        }
        let mac = cards::pick(node, origin, &table, cards, &settings.interfaces, network)?;
        let (own, others) = cards::sort(&settings.interfaces, mac.value, cards)?;
        let said = own.map(|own| cards::split(own, network)).unwrap_or_default();
        // It would win over a default route with a metric.
        let table_gateway = cluster.network.gateway.filter(|_| !said.routed);
        let facts = Self {
            node_name: Sourced::new(node.name.clone(), origin),
            node_fqdn: format!("{}.{}", node.name, cluster.domain),
            hostname: settings.hostname.clone().unwrap_or_else(|| Sourced::new(node.name.clone(), &table)),
            address: (settings.address.clone().or(said.address))
                .or_else(|| planned.map(|planned| Sourced::new(planned, &table))),
            announced: network.is_none().then(|| instance(&cluster.name, &node.name)),
            gateway: (settings.gateway.clone().or(said.gateway))
                .or_else(|| table_gateway.map(|gateway| Sourced::new(gateway, &table))),
            dns: settings.dns.clone().or(said.dns).unwrap_or_else(|| {
                Sourced::new(cluster.network.dns.iter().copied().map(IpAddr::V4).collect(), &table)
            }),
            mac,
            pod_cidr: (settings.pod_cidr.clone())
                .or_else(|| node.pod_cidr.map(|range| Sourced::new(range, &table))),
            peers: (cluster.nodes.iter().filter(|peer| peer.name != node.name))
                .map(|peer| Peer {
                    name: peer.name.clone(),
                    ip: known.and_then(|known| known.value.get(&peer.name).copied()).or(peer.ip),
                    pod_cidr: peer.pod_cidr,
                })
                .collect(),
            own: said.rest,
            others,
            accounts: settings.accounts.clone(),
            instance_id: settings.instance_id.clone(),
            kept: settings.kept.clone(),
        };
        facts.check(cluster)?;
        Ok(facts)
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
        ];
        match &self.address {
            Some(address) => values.push(value("address", address.value.to_string(), &address.origin)),
            None => values.push(value("address", "by DHCP".to_owned(), "node table")),
        }
        if let Some(gateway) = &self.gateway {
            values.push(value("gateway", gateway.value.to_string(), &gateway.origin));
        }
        if !self.dns.value.is_empty() {
            values.push(value("dns", list(&self.dns.value), &self.dns.origin));
        }
        if let Some(pods) = &self.pod_cidr {
            values.push(value("pod-cidr", pods.value.to_string(), &pods.origin));
        }
        let routes: Vec<_> = self
            .peers
            .iter()
            .filter_map(|peer| Some(format!("{} via {} ({})", peer.pod_cidr?, peer.ip?, peer.name)))
            .collect();
        if !routes.is_empty() {
            values.push(value("routes", routes.join(", "), "node table"));
        }
        if let Some(Sourced { value: card, origin }) = &self.own {
            values.push(value("card also", cards::describe(card), origin));
        }
        for Sourced { value: card, origin } in &self.others {
            values.push(value(&format!("card {}", card.id), cards::describe(card), origin));
        }
        for Sourced { value: account, origin } in &self.accounts {
            let count = account.keys.len();
            let keys = format!("{count} key{}", if count == 1 { "" } else { "s" });
            values.push(value(&format!("user {}", account.name), keys, origin));
        }
        if let Some(id) = &self.instance_id {
            values.push(value("instance-id", id.value.clone(), &id.origin));
        }
        values
    }
}
