//! Wrong input of every kind: each is refused by name, with an exit that says so, and nothing is written.

use std::fmt::Write;

use crate::support::{Identity, NODE_0, World};
use firstboot::schema::CLUSTER_FILE;
use fs_err as fs;
use tar::EntryType;

/// Boots a machine that must refuse, and answers its first line.
fn refusal(world: &World) -> String {
    let (tree, partition) = (world.tree(), world.partition());
    let said = world.boot();
    assert!(said.failed, "accepted:\n{}", said.console);
    assert_eq!(world.tree(), tree, "something was written:\n{}", said.console);
    assert_eq!(world.partition(), partition, "the partition was touched");
    assert!(said.console.ends_with("nothing was written; correct this and boot again\n"), "{}", said.console);
    said.console.lines().next().unwrap_or_default().trim_start_matches("firstboot: ").to_owned()
}

/// The inputs and what is said to each, for one snapshot.
fn report<'a>(cases: impl IntoIterator<Item = (&'a str, World)>) -> String {
    cases.into_iter().fold(String::new(), |mut text, (name, world)| {
        writeln!(text, "{name}\n    {}", refusal(&world)).unwrap();
        text
    })
}

#[test]
fn command_lines() {
    let lines = [
        "kiln.adress=192.168.122.11/24",
        "kiln.node",
        "kiln.=x",
        "kiln.node=",
        "kiln.node=node-0 quiet kiln.node=node-1",
        "kiln.node=node-0 kiln.node=node-0",
        "kiln.node=node-7",
        "kiln.node=server",
        "kiln.node=Node_0",
        "kiln.hostname=blue.example",
        "\"kiln.hostname=two words\"",
        "kiln.hostname=caf\u{e9}",
        "kiln.address=192.168.122.11",
        "kiln.address=192.168.122.0/24",
        "kiln.address=192.168.122.256/24",
        "kiln.address=127.0.0.1/8",
        "kiln.address=10.9.8.7/24",
        "kiln.address=192.168.122.11/0",
        "kiln.address=192.168.122.12/24",
        "kiln.address=192.168.122.1/24",
        "kiln.gateway=10.0.0.1",
        "kiln.gateway=192.168.122.11",
        "kiln.gateway=gw",
        "kiln.pod-cidr=10.200.0.1/24",
        "kiln.pod-cidr=10.99.0.0/24",
        "kiln.pod-cidr=10.200.0.0/23",
        "kiln.pod_cidr=10.200.5.0/24",
    ];
    let cases = lines.map(|line| {
        let world = World::node_0();
        world.cmdline(&format!("root=x {line} ro"));
        (line, world)
    });
    let text = report(cases);
    insta::assert_snapshot!(text);
}

#[test]
fn an_address_in_a_network_over_the_services() {
    let world = World::node_0();
    world.edit_table("10.32.0.0/24", "192.169.0.0/24");
    world.cmdline("kiln.address=192.168.122.11/8");
    insta::assert_snapshot!(refusal(&world), @"kernel command line, kiln.address: 192.168.122.11/8 is in a network that overlaps 192.169.0.0/24, which pods and Services have");
}

#[test]
fn values_for_no_node() {
    let world = World::new();
    world.cmdline("kiln.address=192.168.122.11/24");
    insta::assert_snapshot!(refusal(&world), @"kernel command line, kiln.address: nothing says which node this is for; say it with `kiln.node=NAME` on the kernel command line, or with a host name or network card of the node table");
}

#[test]
fn cards_of_two_nodes() {
    let world = World::node_0();
    world.card("enp2s0", "52:54:00:6b:00:0c", "1");
    insta::assert_snapshot!(refusal(&world), @"node table: this machine has the network cards of `node-0`, `node-1`; say which with `kiln.node=NAME` on the kernel command line");
    world.cmdline("kiln.node=node-1");
    assert!(!world.boot().failed);
}

#[test]
fn a_card_of_another_role() {
    let world = World::new();
    world.card("enp1s0", "52:54:00:6b:00:0a", "1");
    insta::assert_snapshot!(refusal(&world), @"node table, by MAC 52:54:00:6b:00:0a: node `server` has the role `control-plane`, and this is the image of the role `worker`; boot it from `control-plane.qcow2`");
}

#[test]
fn a_name_and_two_foreign_cards() {
    let world = World::new();
    world.card("enp1s0", "52:54:00:00:00:01", "1");
    world.card("enp2s0", "52:54:00:00:00:02", "1");
    world.cmdline("kiln.node=node-0");
    insta::assert_snapshot!(refusal(&world), @"kernel command line, kiln.node: node `node-0` has the network card 52:54:00:6b:00:0b in the node table, and this machine has 52:54:00:00:00:01 (enp1s0), 52:54:00:00:00:02 (enp2s0); give it one card, or one with that address");
}

#[test]
fn node_tables() {
    let edits = [
        ("\"version\": 1", "\"version\": 2"),
        ("\"version\": 1", "\"version\": \"1\""),
        ("\"version\": 1,", ""),
        ("\"domain\": \"kubernetes.local\"", "\"domain\": \"kubernetes.local\\n6.6.6.6 evil\""),
        ("\"domain\"", "\"domian\""),
        ("\"release\": \"debian\",", "\"release\": \"debian\", \"release\": \"debian\","),
        ("10.200.0.0/16", "10.200.0.1/16"),
        ("10.200.0.0/16", "10.200.0.0/33"),
        ("10.32.0.0/24", "10.200.7.0/24"),
        ("10.32.0.0/24", "192.168.0.0/16"),
        ("\"gateway\": \"192.168.122.1\"", "\"gateway\": \"192.168.123.1\""),
        ("\"gateway\": \"192.168.122.1\"", "\"gateway\": \"192.168.122.12\""),
        ("\"name\": \"node-1\"", "\"name\": \"node-0\""),
        ("\"name\": \"node-1\"", "\"name\": \"../etc\""),
        ("52:54:00:6b:00:0c", "52:54:00:6B:00:0B"),
        ("52:54:00:6b:00:0c", "52:54:00:6b:00"),
        ("192.168.122.12", "192.168.122.11"),
        ("192.168.122.12", "192.168.122.255"),
        ("192.168.122.12", "192.168.123.12"),
        ("10.200.1.0/24", "10.200.0.128/25"),
        ("10.200.1.0/24", "10.201.1.0/24"),
        ("  ]\n}", "  ]\n} {}"),
    ];
    let names = edits.map(|(from, to)| format!("{from} -> {to}"));
    let cases = edits.iter().zip(&names).map(|((from, to), name)| {
        let world = World::node_0();
        world.edit_table(from, to);
        (name.as_str(), world)
    });
    let text = report(cases);
    insta::assert_snapshot!(text);
}

#[test]
fn images() {
    let broken = |path: &str, text: Option<&str>| {
        let world = World::node_0();
        let path = world.root().join(path);
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        world
    };
    let templated = |path: &str, text: &str| {
        let world = World::node_0();
        world.template(path, text);
        world
    };
    let linked = World::node_0();
    fs::os::unix::fs::symlink("/etc/shadow", linked.root().join("usr/lib/kiln/node/etc/shadow")).unwrap();
    let text = report([
        ("no table", broken(CLUSTER_FILE, None)),
        ("no role", broken("usr/lib/kiln/role", None)),
        ("an empty role", broken("usr/lib/kiln/role", Some("\n"))),
        ("an unknown placeholder", templated("etc/x", "one\n@ two@x.org\n  @node_ip@ @nod_name@\n")),
        ("a template over a file of firstboot", templated("etc/hostname", "mine\n")),
        ("a template where a folder has to be", templated("etc/kiln", "mine\n")),
        ("a template over the record", templated("var/lib/kiln/firstboot.json", "{}\n")),
        ("a link in the node tree", linked),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn identities() {
    let world = |partition: Vec<u8>| {
        let world = World::node_0();
        fs::write(world.path("identity"), partition).unwrap();
        world
    };
    let with = |path: &str, kind: EntryType, mode: u32, content: &[u8]| {
        let mut identity = Identity::workers();
        identity.add(path, kind, mode, content);
        world(identity.partition())
    };
    let file = |path: &str| with(path, EntryType::Regular, 0o600, b"x");
    let good = Identity::workers().stream();
    let cut = |at: usize| world(good[..at].to_vec());
    let mut gap = good.clone();
    gap[512..1024].fill(0);
    let mut flipped = good.clone();
    flipped[512] ^= 1;
    let mut other = Identity::new();
    other.file("node-1/x", 0o600, b"x");
    let text = report([
        ("not a tar", world(b"MZ, surely no tar".repeat(512))),
        ("shorter than a block", world(b"short".to_vec())),
        ("cut in a header", cut(700)),
        ("cut in a file", cut(1030)),
        ("a zero block in between", world(gap)),
        ("a flipped bit in a header", world(flipped)),
        ("only another node's", world(other.partition())),
        ("absolute", file("/etc/shadow")),
        ("upwards", file("node-0/../../etc/shadow")),
        ("upwards in another node's part", file("node-1/../node-0/x")),
        ("a dot", file("node-0/./x")),
        ("an empty part", file("node-0//x")),
        ("a control character", file("node-0/x\ny")),
        ("a link", with("node-0/x", EntryType::Symlink, 0o777, b"")),
        ("a hard link", with("node-0/x", EntryType::Link, 0o600, b"")),
        ("a device", with("node-1/x", EntryType::Block, 0o600, b"")),
        ("a pipe", with("node-0/x", EntryType::Fifo, 0o600, b"")),
        ("twice", file("node-0/var/lib/kubelet/kubelet.key")),
        ("set-user-id", with("node-0/x", EntryType::Regular, 0o4755, b"x")),
        ("too large", with("node-0/x", EntryType::Regular, 0o600, &vec![1; (4 << 20) + 1])),
        ("a file of firstboot", file("node-0/etc/hosts")),
        ("the record", file("node-0/var/lib/kiln/firstboot.json")),
        ("a file of the node tree", file("node-0/etc/cni/net.d/10-bridge.conf")),
        ("a file as a folder", file("node-0/var/lib/kubelet/ca.crt/x")),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn another_node_on_a_used_disk() {
    let world = World::node_0();
    world.boot();
    world.cmdline("kiln.node=node-1");
    insta::assert_snapshot!(refusal(&world), @"this disk was set up as node `node-0`, and `node-1` has no identity on it any more; boot `node-1` from a fresh copy of the image");
}

#[test]
fn records() {
    let with = |text: &str| {
        let world = World::new();
        world.card("enp1s0", NODE_0, "1");
        world.boot();
        fs::write(world.root().join("var/lib/kiln/firstboot.json"), text).unwrap();
        world
    };
    let text = report([
        ("cut off", with("{\"version\": 1,")),
        ("empty", with("")),
        ("newer", with("{\"version\": 9, \"moon\": 1}")),
    ]);
    insta::assert_snapshot!(text);
}
