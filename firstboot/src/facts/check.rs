//! The checks of the node table again, for values that override it.

use ipnet::{IpNet, Ipv4Net};

use crate::cluster::is_host_in;
use crate::facts::Facts;
use crate::facts::error::FactsError;
use crate::schema::Cluster;
use crate::settings::Sourced;
use crate::settings::interface::Interface;

impl Facts {
    pub(super) fn check(&self, cluster: &Cluster) -> Result<(), FactsError> {
        if self.peers.iter().any(|peer| peer.name == self.hostname.value) {
            let reason = format!("is the name of another node, and this is `{}`", self.node_name.value);
            return Err(misfit(&self.hostname, &reason));
        }
        self.check_address(cluster)?;
        self.check_others(cluster)?;
        let Some(pods) = &self.pod_cidr else { return Ok(()) };
        if !cluster.pod_cidr.contains(&pods.value) {
            return Err(misfit(pods, &format!("is outside the cluster's pod range {}", cluster.pod_cidr)));
        }
        let mut ranges = self.peers.iter().filter_map(|peer| Some((peer.pod_cidr?, &peer.name)));
        match ranges.find(|(range, _)| overlap(*range, pods.value)) {
            Some((range, name)) => {
                Err(misfit(pods, &format!("overlaps {range}, the pod range of node `{name}`")))
            }
            None => Ok(()),
        }
    }

    fn check_address(&self, cluster: &Cluster) -> Result<(), FactsError> {
        let Some(address) = &self.address else { return Ok(()) };
        for peer in &self.peers {
            let Some(ip) = peer.ip else { continue };
            if ip == address.value.addr() {
                return Err(misfit(address, &format!("is the address of node `{}`", peer.name)));
            }
            if !is_host_in(ip, address.value) {
                let reason = format!("cannot reach node `{}` at {ip} directly", peer.name);
                return Err(misfit(address, &reason));
            }
        }
        check_network(cluster, address.value, &address.origin)?;
        if let Some(gateway) = &self.gateway
            && (gateway.value == address.value.addr() || !is_host_in(gateway.value, address.value))
        {
            // The table's own gateway fits the table's own address: one of the two was set.
            return Err(if gateway.origin.starts_with("node table") {
                misfit(address, &format!("does not go with the gateway {}", gateway.value))
            } else {
                misfit(gateway, &format!("cannot be the gateway of the address {}", address.value))
            });
        }
        Ok(())
    }

    /// Other networks may be anything but what the cluster has already.
    fn check_others(&self, cluster: &Cluster) -> Result<(), FactsError> {
        // Pods and peers are reached by a card of the cluster's own.
        if let Some(Sourced { value: Interface { bond: Some(bond), .. }, origin }) = &self.own {
            let card = Sourced::new(format!("the card {}", self.mac.value), origin);
            return Err(misfit(&card, &format!("is the cluster's, and cannot be in the bond `{bond}`")));
        }
        let cards = self.others.iter().chain(&self.own);
        for Sourced { value: card, origin } in cards {
            for net in networks(card) {
                let net = Sourced::new(net, origin);
                for range in [cluster.pod_cidr, cluster.service_cidr] {
                    if overlap(range, net.value) {
                        return Err(misfit(&net, &in_range(range)));
                    }
                }
            }
        }
        for Sourced { value: card, origin } in &self.others {
            let in_cluster =
                |net: &Ipv4Net| self.address.as_ref().is_some_and(|address| overlap(address.value, *net));
            if let Some(net) = networks(card).find(in_cluster) {
                let reason = format!("is in the cluster's network, which the card {} has", self.mac.value);
                return Err(misfit(&Sourced::new(net, origin), &reason));
            }
        }
        // Of two of one weight, the kernel takes whichever it likes.
        let own = self.own.iter().flat_map(|own| weights(&own.value));
        let mut default: Vec<Option<u32>> = self.gateway.iter().map(|_| None).chain(own).collect();
        for Sourced { value: card, origin } in &self.others {
            for weight in weights(card) {
                if default.contains(&weight) {
                    let route = Sourced::new(format!("the default route of the card {}", card.id), origin);
                    let reason = "has the weight of another one; give one of them a `metric`";
                    return Err(misfit(&route, reason));
                }
                default.push(weight);
            }
        }
        Ok(())
    }
}

/// The metrics of a card's default routes of IPv4.
fn weights(card: &Interface) -> impl Iterator<Item = Option<u32>> {
    let is_default = |to: &IpNet| to.prefix_len() == 0 && matches!(to, IpNet::V4(_));
    card.routes.iter().filter(move |route| is_default(&route.to)).map(|route| route.metric)
}

/// The networks of IPv4 that a card leads to, but for everywhere.
fn networks(card: &Interface) -> impl Iterator<Item = Ipv4Net> {
    let routes = card.routes.iter().map(|route| &route.to).filter(|to| to.prefix_len() > 0);
    card.addresses.iter().chain(routes).filter_map(|net| match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    })
}

/// Checks an address with its network, from `origin`.
///
/// # Errors
/// The network overlaps what pods and Services have.
pub fn check_network(cluster: &Cluster, address: Ipv4Net, origin: &str) -> Result<(), FactsError> {
    for range in [cluster.pod_cidr, cluster.service_cidr] {
        if overlap(range, address) {
            return Err(misfit(&Sourced::new(address, origin), &in_range(range)));
        }
    }
    Ok(())
}

fn in_range(range: Ipv4Net) -> String {
    format!("is in a network that overlaps {range}, which pods and Services have")
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

fn misfit<T: ToString>(value: &Sourced<T>, reason: &str) -> FactsError {
    FactsError::Misfit {
        origin: value.origin.clone(),
        value: value.value.to_string(),
        reason: reason.to_owned(),
    }
}
