//! The files that every node has whatever its image: their paths and their bytes. Pure text from values; what an
//! image adds stands in its node tree.

use crate::facts::Facts;
use crate::schema::Cluster;

/// Name of the API server in every certificate and hosts file, in the cluster's domain.
const API_NAME: &str = "api-server";

/// First line of each file, for whoever opens it.
const HEADER: &str = "# Written by Kiln's firstboot; it writes this again when the node's values change.\n";

/// Path relative to the root and text of each file. `resolver` asks for `etc/resolv.conf` too.
pub fn generated(cluster: &Cluster, facts: &Facts, resolver: bool) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("etc/hostname", format!("{}\n", facts.hostname.value)),
        ("etc/hosts", hosts(cluster, facts)),
        ("etc/kiln/node.env", environment(facts)),
        ("etc/systemd/network/10-kiln.network", network(facts)),
    ];
    if resolver {
        files.push(("etc/resolv.conf", resolv_conf(facts)));
    }
    files
}

fn hosts(cluster: &Cluster, facts: &Facts) -> String {
    let mut text = format!("{HEADER}127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    text.push_str("ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n\n");
    let api = cluster.nodes.iter().find(|node| node.control_plane);
    for node in &cluster.nodes {
        let own = node.name == facts.node_name.value;
        let ip = if own { facts.address.value.addr() } else { node.ip };
        let mut line = format!("{ip} {}.{} {}", node.name, cluster.domain, node.name);
        if own && facts.hostname.value != node.name {
            line.push(' ');
            line.push_str(&facts.hostname.value);
        }
        if api == Some(node) {
            line.push_str(&format!(" {API_NAME}.{}", cluster.domain));
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Values for units, which read them with `EnvironmentFile=`.
fn environment(facts: &Facts) -> String {
    format!(
        "{HEADER}KILN_NODE_NAME={}\nKILN_NODE_FQDN={}\nKILN_NODE_IP={}\nKILN_POD_CIDR={}\n",
        facts.node_name.value,
        facts.node_fqdn,
        facts.address.value.addr(),
        facts.pod_cidr.value
    )
}

/// <https://www.freedesktop.org/software/systemd/man/257/systemd.network.html>
fn network(facts: &Facts) -> String {
    // The type keeps a VLAN or bridge that has the card's address from matching as well.
    let mut text = format!("{HEADER}[Match]\nMACAddress={}\nType=ether\n\n", facts.mac.value);
    text.push_str(&format!("[Network]\nAddress={}\n", facts.address.value));
    if let Some(gateway) = &facts.gateway {
        text.push_str(&format!("Gateway={}\n", gateway.value));
    }
    for server in &facts.dns {
        text.push_str(&format!("DNS={server}\n"));
    }
    text.push_str("IPv6AcceptRA=no\n");
    for peer in &facts.peers {
        text.push_str(&format!(
            "\n# Pods of {}\n[Route]\nDestination={}\nGateway={}\n",
            peer.name, peer.pod_cidr, peer.ip
        ));
    }
    text
}

fn resolv_conf(facts: &Facts) -> String {
    let mut text = HEADER.to_owned();
    for server in &facts.dns {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}
