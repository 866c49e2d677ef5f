//! Clusters whose addresses DHCP gives: what is written before there is a network, and how nodes find each other then.

use crate::support::network::Fake;
use crate::support::{NODE_0, World};
use firstboot::console::Console;
use firstboot::ops::Real;
use firstboot::peers::peers;
use fs_err as fs;
use proptest::prelude::proptest;

const OWN: &str = "10.0.2.16/24";

/// `node-0`, configured and with an address.
fn running() -> (World, Fake) {
    let world = World::dhcp(NODE_0);
    assert!(!world.boot().failed);
    (world, Fake { own: Some(OWN.parse().unwrap()), ..Fake::default() })
}

fn ip(text: &str) -> std::net::Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn before_the_network_nothing_has_an_address() {
    let world = World::dhcp(NODE_0);
    insta::assert_snapshot!(world.boot().lines(), @"
    node-0: hostname node-0 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: card 52:54:00:6b:00:0b (node table, by MAC 52:54:00:6b:00:0b)
    node-0: address by DHCP (node table)
    node-0: pod-cidr 10.200.0.0/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: identity 2 files (/identity)
    node-0: applied 9 files in N ms, 0 unchanged
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/10-kiln.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    MACAddress=52:54:00:6b:00:0b
    Type=ether

    [Network]
    DHCP=ipv4
    MulticastDNS=yes
    IPv6AcceptRA=no
    ");
    insta::assert_snapshot!(world.read("etc/systemd/dnssd/kiln.dnssd"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Service]
    Name=node-0-1cp-2workers
    Type=_kiln._tcp
    Port=10250
    ");
    insta::assert_snapshot!(world.read("etc/hosts"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    127.0.0.1 localhost
    ::1 localhost ip6-localhost ip6-loopback
    ff02::1 ip6-allnodes
    ff02::2 ip6-allrouters
    ");
    insta::assert_snapshot!(world.read("etc/kiln/node.env"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    KILN_NODE_NAME=node-0
    KILN_NODE_FQDN=node-0.kubernetes.local
    KILN_POD_CIDR=10.200.0.0/24
    ");
    let tree = world.tree();
    assert_eq!(world.boot().lines(), "node-0 is up to date");
    assert_eq!(world.tree(), tree);
}

#[test]
fn an_address_of_a_source_is_static_there_too() {
    let world = World::dhcp(NODE_0);
    world.cmdline("kiln.address=10.0.2.50/24 kiln.gateway=10.0.2.2 kiln.peers=server=10.0.2.15");
    assert!(!world.boot().failed);
    insta::assert_snapshot!(world.read("etc/systemd/network/10-kiln.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    MACAddress=52:54:00:6b:00:0b
    Type=ether

    [Network]
    Address=10.0.2.50/24
    Gateway=10.0.2.2
    MulticastDNS=yes
    IPv6AcceptRA=no
    ");
    assert!(world.read("etc/hosts").contains("10.0.2.15 server.kubernetes.local server\n"));
    assert!(world.read("etc/kiln/node.env").contains("KILN_NODE_IP=10.0.2.50\n"));
}

#[test]
fn wrong_peers_are_named() {
    let mut text = String::new();
    for peers in ["server", "server=x", "server=10.0.2.15,server=10.0.2.16", "nobody=10.0.2.15"] {
        let world = World::dhcp(NODE_0);
        world.cmdline(&format!("kiln.peers={peers}"));
        let before = world.tree();
        let said = world.boot();
        assert!(said.failed && world.tree() == before);
        text += &format!("{}\n", said.lines().lines().next().unwrap());
    }
    insta::assert_snapshot!(text, @"
    kernel command line: `kiln.peers` is `server`; write nodes and their addresses, each once, like `server=192.168.122.10,node-1=192.168.122.12`
    kernel command line: `kiln.peers` is `server=x`; write nodes and their addresses, each once, like `server=192.168.122.10,node-1=192.168.122.12`
    kernel command line: `kiln.peers` is `server=10.0.2.15,server=10.0.2.16`; write nodes and their addresses, each once, like `server=192.168.122.10,node-1=192.168.122.12`
    kernel command line, kiln.peers: `nobody` is no node; the nodes are `server`, `node-0`, `node-1`
    ");
}

#[test]
fn neighbours_are_found_by_multicast_dns() {
    let (world, mut system) = running();
    let neighbours = world.resolved();
    neighbours.lock().unwrap().insert("server-1cp-2workers", ip("10.0.2.15"));
    // Of another cluster, and in another network.
    neighbours.lock().unwrap().insert("node-1-other", ip("10.0.2.99"));
    insta::assert_snapshot!(world.peers(&mut system).lines(), @"
    node-0: server is at 10.0.2.15 (multicast DNS)
    node-0: this node is at 10.0.2.16/24
    ");
    insta::assert_snapshot!(world.read("etc/hosts"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    127.0.0.1 localhost
    ::1 localhost ip6-localhost ip6-loopback
    ff02::1 ip6-allnodes
    ff02::2 ip6-allrouters

    10.0.2.15 server.kubernetes.local server
    10.0.2.16 node-0.kubernetes.local node-0
    10.0.2.15 api-server.kubernetes.local
    ");
    insta::assert_snapshot!(world.read("run/kiln/address.env"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    KILN_NODE_IP=10.0.2.16
    ");
    assert_eq!(system.ran, ["ip route replace 10.200.2.0/24 via 10.0.2.15 proto static"]);
    neighbours.lock().unwrap().insert("node-1-1cp-2workers", ip("192.168.1.9"));
    assert_eq!(world.peers(&mut system).lines(), "");
    neighbours.lock().unwrap().insert("node-1-1cp-2workers", ip("10.0.2.17"));
    insta::assert_snapshot!(world.peers(&mut system).lines(), @"node-0: node-1 is at 10.0.2.17 (multicast DNS)");
    // A reboot changes nothing of what is known.
    let tree = world.tree();
    assert_eq!(world.boot().lines(), "node-0 is up to date");
    assert_eq!(world.tree(), tree);
}

#[test]
fn the_own_address_is_written_before_anybody_is_looked_for() {
    let (world, mut system) = running();
    let mut console = Vec::new();
    peers(&world.args(), true, &mut Real, &mut system, &mut Console::new(&mut console)).unwrap();
    assert_eq!(String::from_utf8(console).unwrap(), "firstboot: node-0: this node is at 10.0.2.16/24\n");
    assert!(
        world.read("etc/hosts").contains("10.0.2.16 node-0.kubernetes.local node-0\n")
            && system.ran.is_empty()
    );
}

#[test]
fn a_route_that_is_there_is_left_alone() {
    let (world, mut system) = running();
    world.resolved().lock().unwrap().insert("server-1cp-2workers", ip("10.0.2.15"));
    world.put(
        "routes",
        b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
          ens3\t0002C80A\t0F02000A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
    );
    world.peers(&mut system);
    assert!(system.ran.is_empty(), "{:?}", system.ran);
}

#[test]
fn addresses_may_change() {
    let (world, mut system) = running();
    let neighbours = world.resolved();
    neighbours.lock().unwrap().insert("server-1cp-2workers", ip("10.0.2.15"));
    world.peers(&mut system);
    system.ran.clear();
    system.own = Some("10.0.2.30/24".parse().unwrap());
    neighbours.lock().unwrap().insert("server-1cp-2workers", ip("10.0.2.31"));
    insta::assert_snapshot!(world.peers(&mut system).lines(), @"
    node-0: server is at 10.0.2.31 (multicast DNS)
    node-0: this node is at 10.0.2.30/24
    ");
    insta::assert_snapshot!(system.ran.join("\n"), @"
    systemctl --no-block try-restart kiln-address.target
    ip route replace 10.200.2.0/24 via 10.0.2.31 proto static
    ");
    let hosts = world.read("etc/hosts");
    assert!(hosts.contains("10.0.2.31 server.") && hosts.contains("10.0.2.30 node-0."), "{hosts}");
    assert!(!hosts.contains("10.0.2.15") && !hosts.contains("10.0.2.16"), "{hosts}");
    // A neighbour that is away for a while stays where it was.
    neighbours.lock().unwrap().clear();
    assert_eq!(world.peers(&mut system).lines(), "");
    assert_eq!(world.read("etc/hosts"), hosts);
}

#[test]
fn who_does_not_answer_is_looked_up_among_the_node_objects() {
    let (world, mut system) = running();
    world.put("root/usr/lib/kiln/list-nodes", b"");
    // Nobody answers: neither multicast DNS nor the API server.
    assert!(!world.peers(&mut system).failed);
    assert_eq!(system.ran, ["list-nodes"]);
    system.nodes = Some(
        "server 10.0.2.15\nnode-0 10.0.2.99\nnode-1 \nstranger 10.0.2.98\nnode-1 fe80::1\nnode-1 10.9.9.9\n",
    );
    insta::assert_snapshot!(world.peers(&mut system).lines(), @"node-0: server is at 10.0.2.15 (Node object)");
    assert!(!world.read("etc/hosts").contains("10.0.2.9"));
}

#[test]
fn a_machine_without_an_address_or_a_node_says_so() {
    let (world, _) = running();
    let tree = world.tree();
    insta::assert_snapshot!(world.peers(&mut Fake::default()).lines(), @"the network card 52:54:00:6b:00:0b has no IPv4 address after 0 s; is there a DHCP server?");
    let own = Some("10.200.0.5/24".parse().unwrap());
    insta::assert_snapshot!(world.peers(&mut Fake { own, ..Fake::default() }).lines(), @"DHCP: 10.200.0.5/24 is in a network that overlaps 10.200.0.0/16, which pods and Services have");
    assert_eq!(world.tree(), tree);
    fs::remove_file(world.root().join("var/lib/kiln/firstboot.json")).unwrap();
    insta::assert_snapshot!(world.peers(&mut Fake { own, ..Fake::default() }).lines(), @"this machine is no node yet; see `journalctl --unit kiln-firstboot`");
}

proptest! {
    #[test]
    fn any_hosts_file_is_read_and_any_list_of_nodes_is_taken(text in "([0-9a-f.:]{0,9} [a-z0-9.-]{0,30}\n|\\PC{0,40}\n){0,9}") {
        let table = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/worker/usr/lib/kiln/cluster.json")).unwrap();
        let cluster = firstboot::schema::Cluster::parse(&table).unwrap();
        firstboot::files::hosts_known(&text, &cluster);
    }
}
