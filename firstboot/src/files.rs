//! The files that every node has whatever its image: their paths and their bytes. Pure text from values; what an
//! image adds stands in its node tree.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::facts::Facts;
use crate::header::HEADER;
use crate::networkd;
use crate::resolved::SERVICE;
use crate::schema::{Cluster, Duty, Node};
use crate::settings::Sourced;

/// Name of the API server in every certificate and hosts file, in the cluster's domain. It leads to every API server, or to the
/// load balancers in front of them.
pub const API_NAME: &str = "api-server";

/// Names and addresses of the nodes.
pub const HOSTS_FILE: &str = "etc/hosts";

/// What a node serves to the others, whatever its role: its kubelet.
const KUBELET_PORT: u16 = 10250;

/// Keys of users, a file each. The images' sshd reads them besides those of the home folder and of the identity.
const KEYS_DIR: &str = "etc/ssh/authorized_keys.seed";

/// Path relative to the root and text of each file. `resolver` asks for `etc/resolv.conf` too.
pub fn generated(cluster: &Cluster, facts: &Facts, resolver: bool) -> Vec<(String, String)> {
    let mut files = vec![
        ("etc/hostname".to_owned(), format!("{}\n", facts.hostname.value)),
        (HOSTS_FILE.to_owned(), hosts_of(cluster, facts)),
        ("etc/kiln/node.env".to_owned(), environment(facts)),
        ("etc/systemd/network/10-kiln.network".to_owned(), networkd::own(facts)),
    ];
    for Sourced { value: card, .. } in &facts.others {
        let path = |kind: &str| format!("etc/systemd/network/20-kiln-{}.{kind}", card.id);
        files.push((path("network"), networkd::other(card)));
        files.extend(networkd::device(card).map(|text| (path("netdev"), text)));
    }
    if resolver {
        files.push(("etc/resolv.conf".to_owned(), resolv_conf(facts)));
    }
    files.extend(facts.announced.as_ref().map(|name| {
        let service = format!("{HEADER}[Service]\nName={name}\nType={SERVICE}\nPort={KUBELET_PORT}\n");
        ("etc/systemd/dnssd/kiln.dnssd".to_owned(), service)
    }));
    let keys = facts.accounts.iter().map(|account| &account.value).filter(|account| !account.keys.is_empty());
    files.extend(keys.map(|account| {
        (format!("{KEYS_DIR}/{}", account.name), format!("{HEADER}{}\n", account.keys.join("\n")))
    }));
    files.extend(facts.kept.iter().map(|(path, text)| ((*path).to_owned(), text.clone())));
    files
}

fn hosts_of(cluster: &Cluster, facts: &Facts) -> String {
    let own = facts.address.as_ref().map(|address| address.value.addr());
    hosts(cluster, &facts.node_name.value, &facts.hostname.value, |name| {
        let peer = facts.peers.iter().find(|peer| peer.name == name);
        peer.map_or(own, |peer| peer.ip)
    })
}

/// The hosts file of the node `own`: the nodes that have an address, and the ways to the API server. Programs try the addresses
/// of a name in the order of the file.
pub fn hosts(
    cluster: &Cluster,
    own: &str,
    hostname: &str,
    address: impl Fn(&str) -> Option<Ipv4Addr>,
) -> String {
    let mut text = format!("{HEADER}127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    text.push_str("ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n\n");
    for node in &cluster.nodes {
        let Some(ip) = address(&node.name) else { continue };
        let mut line = format!("{ip} {}.{} {}", node.name, cluster.domain, node.name);
        if node.name == own && hostname != node.name {
            line.push(' ');
            line.push_str(hostname);
        }
        text.push_str(&line);
        text.push('\n');
    }
    for way in ways(cluster, own) {
        if let Some(ip) = address(&way.name) {
            text.push_str(&format!("{ip} {API_NAME}.{}\n", cluster.domain));
        }
    }
    text
}

/// The ways to the API server in the order in which the node `own` tries them. One that serves the API goes to itself first and
/// else to its equals; the others go to the load balancers, or where there are none to the API servers, another one first on each.
fn ways<'a>(cluster: &'a Cluster, own: &str) -> Vec<&'a Node> {
    let place = cluster.nodes.iter().position(|node| node.name == own);
    let serves = place.is_some_and(|place| cluster.nodes[place].has(Duty::ApiServer));
    let balanced = !serves && cluster.with(Duty::LoadBalancer).next().is_some();
    let duty = if balanced { Duty::LoadBalancer } else { Duty::ApiServer };
    let mut ways: Vec<&Node> = cluster.with(duty).collect();
    if !ways.is_empty() {
        let first = ways.iter().position(|node| node.name == own).or(place).unwrap_or_default() % ways.len();
        ways.rotate_left(first);
    }
    ways
}

/// The addresses of nodes that a hosts file has.
pub fn hosts_known(text: &str, cluster: &Cluster) -> BTreeMap<String, Ipv4Addr> {
    let mut known = BTreeMap::new();
    known.extend(text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ip = words.next()?.parse().ok()?;
        let full = words.next()?;
        let is = |node: &&Node| full.strip_prefix(&*node.name) == Some(&*format!(".{}", cluster.domain));
        Some((cluster.nodes.iter().find(is)?.name.clone(), ip))
    }));
    known
}

/// Values for units, which read them with `EnvironmentFile=`.
fn environment(facts: &Facts) -> String {
    let ip = facts.address.as_ref().map(|address| format!("KILN_NODE_IP={}\n", address.value.addr()));
    let pods = facts.pod_cidr.as_ref().map(|pods| format!("KILN_POD_CIDR={}\n", pods.value));
    format!(
        "{HEADER}KILN_NODE_NAME={}\nKILN_NODE_FQDN={}\n{}{}",
        facts.node_name.value,
        facts.node_fqdn,
        ip.unwrap_or_default(),
        pods.unwrap_or_default()
    )
}

fn resolv_conf(facts: &Facts) -> String {
    let mut text = HEADER.to_owned();
    for server in &facts.dns.value {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::hosts;
    use crate::schema::Cluster;

    #[test]
    fn the_api_server_is_every_one_that_serves_it_and_another_one_first_on_each_node() {
        insta::assert_snapshot!(ways(|_| ""), @"
        10.0.0.0 10.0.0.2
        10.0.0.2 10.0.0.0
        10.0.0.2 10.0.0.0
        10.0.0.0 10.0.0.2
        10.0.0.2 10.0.0.0
        10.0.0.2 10.0.0.0
        ");
    }

    #[test]
    fn load_balancers_come_between_the_api_servers_and_those_that_are_none() {
        insta::assert_snapshot!(ways(|index| if index == 4 { "load-balancer" } else { "kubelet" }), @"
        10.0.0.0 10.0.0.2
        10.0.0.2 10.0.0.0
        10.0.0.2 10.0.0.0
        10.0.0.4
        10.0.0.4
        10.0.0.4
        ");
    }

    /// What the API server's name leads to on each of six nodes. The first three serve it, the second of which has no address
    /// yet; the others have the duty that is given.
    fn ways(others: impl Fn(u8) -> &'static str) -> String {
        let node = |index: u8| {
            let duty = if index < 3 { "api-server" } else { others(index) };
            let duty = if duty.is_empty() { String::new() } else { format!("\"{duty}\"") };
            format!(
                r#"{{"name":"n{index}","role":"r","duties":[{duty}],"mac":"52:54:00:00:00:0{index}","pod-cidr":"10.200.{index}.0/24"}}"#
            )
        };
        let nodes: Vec<String> = (0..6).map(node).collect();
        let json = format!(
            r#"{{"version":1,"name":"ha","release":"v1","domain":"lan","cluster-domain":"cluster.local","pod-cidr":"10.200.0.0/16",
            "service-cidr":"10.32.0.0/24","network":{{"dns":[]}},"nodes":[{}]}}"#,
            nodes.join(",")
        );
        let cluster = Cluster::parse(json.as_bytes()).unwrap();
        let first = |own: &str| {
            let text = hosts(&cluster, own, own, |name| {
                // One of them is not known yet.
                (name != "n1").then(|| Ipv4Addr::new(10, 0, 0, name[1..].parse().unwrap()))
            });
            let api = text.lines().filter_map(|line| line.strip_suffix(" api-server.lan"));
            api.collect::<Vec<_>>().join(" ")
        };
        let all: Vec<String> = ["n0", "n1", "n2", "n3", "n4", "n5"].map(first).into();
        all.join("\n")
    }
}
