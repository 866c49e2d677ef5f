//! Which ports of 127.0.0.1 lead to the nodes: the recorded ones while they are free, else the first free ones. Where
//! DHCP gives the addresses, they lead to each address that it may give: which node has it shows later.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};

use crate::driver::error::DriverError;
use crate::driver::state::Forwards;
use crate::results::cluster::{ClusterJson, NodeJson};

/// Port 22 of the first node becomes 10022.
const OFFSET: u16 = 10_000;

/// How many ports are tried.
const TRIES: u16 = 1000;

/// The first address that QEMU gives by DHCP; the others follow it. It is the one that QEMU's own network begins with.
pub(super) const FIRST_LEASE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// What the ports lead to, by its name: the nodes with their addresses, or the addresses for as many nodes.
pub(super) fn places(cluster: &ClusterJson) -> Vec<(String, Ipv4Addr, BTreeSet<u16>)> {
    let all: BTreeSet<u16> = cluster.nodes.iter().flat_map(|node| node.ports.iter().copied()).collect();
    let leases = (u32::from(FIRST_LEASE)..).map(Ipv4Addr::from);
    let place = |(node, lease): (&NodeJson, Ipv4Addr)| match node.ip {
        Some(ip) => (node.name.clone(), ip, node.ports.iter().copied().collect()),
        None => (lease.to_string(), lease, all.clone()),
    };
    cluster.nodes.iter().zip(leases).map(place).collect()
}

/// Chooses a port of the host for each port of each place.
pub(super) fn choose(
    cluster: &ClusterJson,
    recorded: &BTreeMap<String, Forwards>,
    is_free: impl Fn(u16) -> bool,
) -> Result<BTreeMap<String, Forwards>, DriverError> {
    let mut taken: BTreeSet<u16> = BTreeSet::new();
    let mut chosen: BTreeMap<String, Forwards> = BTreeMap::new();
    let places = places(cluster);
    let wanted = || places.iter().flat_map(|(name, _, ports)| ports.iter().map(move |port| (name, *port)));
    // What stays the same goes first, so that a new node never takes an old one's port.
    for (name, guest) in wanted() {
        let known = recorded.get(name).and_then(|ports| ports.get(&guest));
        if let Some(host) = known.filter(|host| is_free(**host) && taken.insert(**host)) {
            chosen.entry(name.clone()).or_default().insert(guest, *host);
        }
    }
    for (name, guest) in wanted() {
        let ports = chosen.entry(name.clone()).or_default();
        if ports.contains_key(&guest) {
            continue;
        }
        let first = guest.checked_add(OFFSET).unwrap_or(guest);
        let last = first.saturating_add(TRIES);
        let host = (first..=last).find(|port| !taken.contains(port) && is_free(*port));
        let host = host.ok_or_else(|| DriverError::NoPort { node: name.clone(), guest, first, last })?;
        taken.insert(host);
        ports.insert(guest, host);
    }
    Ok(chosen)
}

/// Whether nobody listens there.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::choose;
    use crate::driver::error::DriverError;
    use crate::driver::tests::cluster;

    #[test]
    fn the_first_free_ports_are_taken_in_the_order_of_the_nodes() {
        let ports = choose(&cluster(), &BTreeMap::new(), |port| port != 10022).unwrap();
        assert_eq!(ports["server"], BTreeMap::from([(22, 10023), (6443, 16443)]));
        assert_eq!(ports["node-0"], BTreeMap::from([(22, 10024)]));
        assert_eq!(ports["node-1"], BTreeMap::from([(22, 10025)]));
    }

    #[test]
    fn recorded_ports_stay_while_they_are_free() {
        let recorded = BTreeMap::from([
            ("node-1".to_owned(), BTreeMap::from([(22, 10022)])),
            ("node-0".to_owned(), BTreeMap::from([(22, 10050)])),
        ]);
        let ports = choose(&cluster(), &recorded, |port| port != 10050).unwrap();
        assert_eq!(ports["node-1"], BTreeMap::from([(22, 10022)]));
        assert_eq!(ports["server"][&22], 10023);
        assert_eq!(ports["node-0"], BTreeMap::from([(22, 10024)]));
    }

    #[test]
    fn where_dhcp_gives_the_addresses_each_of_them_has_all_ports() {
        let mut cluster = cluster();
        cluster.nodes.iter_mut().for_each(|node| node.ip = None);
        let ports = choose(&cluster, &BTreeMap::new(), |_| true).unwrap();
        assert_eq!(ports.len(), 3);
        assert_eq!(ports["10.0.2.15"], BTreeMap::from([(22, 10022), (6443, 16443)]));
        assert_eq!(ports["10.0.2.17"], BTreeMap::from([(22, 10024), (6443, 16445)]));
    }

    #[test]
    fn a_full_host_is_told() {
        let error = choose(&cluster(), &BTreeMap::new(), |_| false).unwrap_err();
        assert!(matches!(error, DriverError::NoPort { guest: 22, first: 10022, last: 11022, .. }));
    }
}
