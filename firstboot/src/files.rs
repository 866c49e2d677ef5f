//! The files that every node has whatever its image: their paths and their bytes. Pure text from values; what an
//! image adds stands in its node tree.

use crate::facts::Facts;
use crate::networkd;
use crate::schema::Cluster;

/// Name of the API server in every certificate and hosts file, in the cluster's domain.
const API_NAME: &str = "api-server";

/// First line of each file, for whoever opens it.
pub const HEADER: &str =
    "# Written by Kiln's firstboot; it writes this again when the node's values change.\n";

/// Keys of users, a file each. The images' sshd reads them besides those of the home folder and of the identity.
const KEYS_DIR: &str = "etc/ssh/authorized_keys.seed";

/// Path relative to the root and text of each file. `resolver` asks for `etc/resolv.conf` too.
pub fn generated(cluster: &Cluster, facts: &Facts, resolver: bool) -> Vec<(String, String)> {
    let mut files = vec![
        ("etc/hostname".to_owned(), format!("{}\n", facts.hostname.value)),
        ("etc/hosts".to_owned(), hosts(cluster, facts)),
        ("etc/kiln/node.env".to_owned(), environment(facts)),
        ("etc/systemd/network/10-kiln.network".to_owned(), networkd::own(facts)),
    ];
    let cards = facts.others.iter().map(|card| &card.value);
    files.extend(
        cards.map(|card| (format!("etc/systemd/network/20-kiln-{}.network", card.id), networkd::other(card))),
    );
    if resolver {
        files.push(("etc/resolv.conf".to_owned(), resolv_conf(facts)));
    }
    let keys = facts.accounts.iter().map(|account| &account.value).filter(|account| !account.keys.is_empty());
    files.extend(keys.map(|account| {
        (format!("{KEYS_DIR}/{}", account.name), format!("{HEADER}{}\n", account.keys.join("\n")))
    }));
    files.extend(facts.kept.iter().map(|(path, text)| ((*path).to_owned(), text.clone())));
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

fn resolv_conf(facts: &Facts) -> String {
    let mut text = HEADER.to_owned();
    for server in &facts.dns.value {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}
