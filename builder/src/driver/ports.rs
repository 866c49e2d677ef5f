//! Which ports of 127.0.0.1 lead to the nodes: the recorded ones while they are free, else the first free ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};

use super::error::DriverError;
use super::state::Forwards;
use crate::report::cluster::ClusterJson;

/// Port 22 of the first node becomes 10022.
const OFFSET: u16 = 10_000;

/// How many ports are tried.
const TRIES: u16 = 1000;

/// Chooses a port of the host for each port of each node.
pub(super) fn choose(
    cluster: &ClusterJson,
    recorded: &BTreeMap<String, Forwards>,
    is_free: impl Fn(u16) -> bool,
) -> Result<BTreeMap<String, Forwards>, DriverError> {
    let mut taken: BTreeSet<u16> = BTreeSet::new();
    let mut chosen: BTreeMap<String, Forwards> = BTreeMap::new();
    let wanted = || cluster.nodes.iter().flat_map(|node| node.ports.iter().map(move |port| (node, *port)));
    // What stays the same goes first, so that a new node never takes an old one's port.
    for (node, guest) in wanted() {
        let known = recorded.get(&node.name).and_then(|ports| ports.get(&guest));
        if let Some(host) = known.filter(|host| is_free(**host) && taken.insert(**host)) {
            chosen.entry(node.name.clone()).or_default().insert(guest, *host);
        }
    }
    for (node, guest) in wanted() {
        let ports = chosen.entry(node.name.clone()).or_default();
        if ports.contains_key(&guest) {
            continue;
        }
        let first = guest.checked_add(OFFSET).unwrap_or(guest);
        let last = first.saturating_add(TRIES);
        let host = (first..=last).find(|port| !taken.contains(port) && is_free(*port));
        let node = || node.name.clone();
        let host = host.ok_or_else(|| DriverError::NoPort { node: node(), guest, first, last })?;
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
    fn a_full_host_is_told() {
        let error = choose(&cluster(), &BTreeMap::new(), |_| false).unwrap_err();
        assert!(matches!(error, DriverError::NoPort { guest: 22, first: 10022, last: 11022, .. }));
    }
}
