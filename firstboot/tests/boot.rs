//! Whole runs on machines made of files: what is written, what is said, and that a second boot changes nothing.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Identity, NODE_0, World};
use firstboot::args::Args;
use firstboot::ops::Real;
use fs_err as fs;

/// Without the hash, which depends on who owns the root directory.
fn filtered(test: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"[0-9a-f]{64}", "HASH");
    settings.bind(test);
}

#[test]
fn a_node_of_the_table_gets_its_values_and_identity() {
    let world = World::node_0();
    let said = world.boot();
    assert!(!said.failed && said.stdout.is_empty());
    insta::assert_snapshot!(said.lines(), @"
    node-0: hostname node-0 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: card 52:54:00:6b:00:0b (node table, by MAC 52:54:00:6b:00:0b)
    node-0: address 192.168.122.11/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: gateway 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: dns 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: pod-cidr 10.200.0.0/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1) (node table)
    node-0: identity 2 files (/identity)
    node-0: applied 8 files in N ms, 0 unchanged
    ");
    insta::assert_snapshot!(world.read("etc/hosts"), @r"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    127.0.0.1 localhost
    ::1 localhost ip6-localhost ip6-loopback
    ff02::1 ip6-allnodes
    ff02::2 ip6-allrouters

    192.168.122.10 server.kubernetes.local server
    192.168.122.11 node-0.kubernetes.local node-0
    192.168.122.12 node-1.kubernetes.local node-1
    192.168.122.10 api-server.kubernetes.local
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/10-kiln.network"), @r"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    MACAddress=52:54:00:6b:00:0b
    Type=ether

    [Network]
    Address=192.168.122.11/24
    Gateway=192.168.122.1
    DNS=192.168.122.1
    IPv6AcceptRA=no

    # Pods of server
    [Route]
    Destination=10.200.2.0/24
    Gateway=192.168.122.10

    # Pods of node-1
    [Route]
    Destination=10.200.1.0/24
    Gateway=192.168.122.12
    ");
    insta::assert_snapshot!(world.read("etc/kiln/node.env"), @r"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    KILN_NODE_NAME=node-0
    KILN_NODE_FQDN=node-0.kubernetes.local
    KILN_NODE_IP=192.168.122.11
    KILN_POD_CIDR=10.200.0.0/24
    ");
    insta::assert_snapshot!(world.read("etc/resolv.conf"), @r"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    nameserver 192.168.122.1
    ");
    insta::assert_snapshot!(world.read("etc/cni/net.d/10-bridge.conf"), @r#"
    {
      "cniVersion": "1.0.0",
      "name": "bridge",
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.200.0.0/24" }]] }
    }
    "#);
    filtered(|| {
        insta::assert_snapshot!(world.read("var/lib/kiln/firstboot.json"), @r#"
        {
          "version": 1,
          "node": "node-0",
          "plan": "HASH",
          "values": [
            {
              "key": "hostname",
              "value": "node-0",
              "source": "node table, by MAC 52:54:00:6b:00:0b"
            },
            {
              "key": "card",
              "value": "52:54:00:6b:00:0b",
              "source": "node table, by MAC 52:54:00:6b:00:0b"
            },
            {
              "key": "address",
              "value": "192.168.122.11/24",
              "source": "node table, by MAC 52:54:00:6b:00:0b"
            },
            {
              "key": "gateway",
              "value": "192.168.122.1",
              "source": "node table, by MAC 52:54:00:6b:00:0b"
            },
            {
              "key": "dns",
              "value": "192.168.122.1",
              "source": "node table, by MAC 52:54:00:6b:00:0b"
            },
            {
              "key": "pod-cidr",
              "value": "10.200.0.0/24",
              "source": "node table, by MAC 52:54:00:6b:00:0b"
            },
            {
              "key": "routes",
              "value": "10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1)",
              "source": "node table"
            }
          ],
          "ignored": [],
          "files": [
            "/etc/cni/net.d/10-bridge.conf",
            "/etc/hostname",
            "/etc/hosts",
            "/etc/kiln/node.env",
            "/etc/resolv.conf",
            "/etc/systemd/network/10-kiln.network"
          ],
          "identity": {
            "state": "wiped",
            "files": [
              "/var/lib/kubelet/ca.crt",
              "/var/lib/kubelet/kubelet.key"
            ]
          }
        }
        "#)
    });
    assert_eq!(world.read("etc/hostname"), "node-0\n");
    let tree = world.tree();
    let (mode, key) = &tree["/var/lib/kubelet/kubelet.key"];
    assert_eq!((mode & 0o7777, key.as_slice()), (0o600, b"secret of node-0\n".as_slice()));
    assert_eq!(tree["/var/lib/kubelet"].0 & 0o7777, 0o700);
    assert!(world.is_wiped(), "the identity is still in its partition");
    assert!(!tree.keys().any(|path| path.contains("kiln-new")), "a temporary file is left");
}

#[test]
fn a_second_boot_changes_nothing() {
    let world = World::node_0();
    world.boot();
    let before = world.tree();
    let said = world.boot();
    insta::assert_snapshot!(said.console, @"firstboot: node-0 is up to date");
    assert_eq!(world.tree(), before);
}

#[test]
fn the_command_line_picks_and_overrides() {
    let world = World::node_0();
    world.cmdline(
        "quiet kiln.node=node-1 kiln.hostname=blue kiln.address=192.168.122.77/24 \
         kiln.gateway=192.168.122.254 kiln.pod-cidr=10.200.9.0/24",
    );
    let said = world.boot();
    insta::assert_snapshot!(said.lines(), @"
    node-1: hostname blue (kernel command line, kiln.hostname)
    node-1: card 52:54:00:6b:00:0b (the only network card, enp1s0)
    node-1: address 192.168.122.77/24 (kernel command line, kiln.address)
    node-1: gateway 192.168.122.254 (kernel command line, kiln.gateway)
    node-1: dns 192.168.122.1 (node table, by kernel command line, kiln.node)
    node-1: pod-cidr 10.200.9.0/24 (kernel command line, kiln.pod-cidr)
    node-1: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.0.0/24 via 192.168.122.11 (node-0) (node table)
    node-1: identity 2 files (/identity)
    node-1: applied 8 files in N ms, 0 unchanged
    ");
    insta::assert_snapshot!(world.read("etc/hosts"), @r"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    127.0.0.1 localhost
    ::1 localhost ip6-localhost ip6-loopback
    ff02::1 ip6-allnodes
    ff02::2 ip6-allrouters

    192.168.122.10 server.kubernetes.local server
    192.168.122.11 node-0.kubernetes.local node-0
    192.168.122.77 node-1.kubernetes.local node-1 blue
    192.168.122.10 api-server.kubernetes.local
    ");
    assert_eq!(world.read("var/lib/kubelet/kubelet.key"), "secret of node-1\n");
    assert_eq!(world.read("etc/hostname"), "blue\n");
}

#[test]
fn changed_values_are_applied_again_without_the_identity() {
    let world = World::node_0();
    world.boot();
    world.cmdline("kiln.pod-cidr=10.200.7.0/24");
    let said = world.boot();
    insta::assert_snapshot!(said.lines(), @"
    node-0: hostname node-0 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: card 52:54:00:6b:00:0b (node table, by MAC 52:54:00:6b:00:0b)
    node-0: address 192.168.122.11/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: gateway 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: dns 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: pod-cidr 10.200.7.0/24 (kernel command line, kiln.pod-cidr)
    node-0: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1) (node table)
    node-0: identity 2 files (taken at an earlier boot)
    node-0: applied 2 files in N ms, 4 unchanged
    ");
    assert!(world.read("etc/cni/net.d/10-bridge.conf").contains("10.200.7.0/24"));
    assert_eq!(world.read("var/lib/kubelet/kubelet.key"), "secret of node-0\n");
}

#[test]
fn a_renewed_identity_is_taken_on_a_configured_node() {
    let world = World::node_0();
    world.boot();
    let mut renewed = Identity::new();
    renewed.file("node-0/var/lib/kubelet/kubelet.key", 0o600, b"renewed\n");
    world.identity(&renewed);
    let said = world.boot();
    assert!(said.console.contains("identity 1 file ("), "{}", said.console);
    assert_eq!(world.read("var/lib/kubelet/kubelet.key"), "renewed\n");
    assert!(world.is_wiped());
}

#[test]
fn without_an_identity_the_rest_is_applied() {
    let world = World::new();
    world.card("enp1s0", NODE_0, "1");
    let said = world.boot();
    insta::assert_snapshot!(said.lines(), @"
    node-0: hostname node-0 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: card 52:54:00:6b:00:0b (node table, by MAC 52:54:00:6b:00:0b)
    node-0: address 192.168.122.11/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: gateway 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: dns 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: pod-cidr 10.200.0.0/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1) (node table)
    node-0: identity none (/identity is empty): services that need certificates cannot start
    node-0: applied 6 files in N ms, 0 unchanged
    ");
    assert_eq!(world.read("etc/hostname"), "node-0\n");
    insta::assert_snapshot!(world.boot().lines(), @r"
    node-0: identity none (/identity is empty): services that need certificates cannot start
    node-0 is up to date
    ");
}

#[test]
fn a_machine_that_is_no_node_is_left_alone() {
    let world = World::new();
    world.card("enp1s0", "52:54:00:aa:bb:cc", "1");
    world.card("wlan0", NODE_0, "801");
    let before = world.tree();
    let said = world.boot();
    assert!(!said.failed);
    insta::assert_snapshot!(said.console, @r"
    firstboot: this machine is no node of the cluster `1cp-2workers`; nothing was changed
    firstboot: this machine has 52:54:00:aa:bb:cc (enp1s0)
    firstboot: the node table has 52:54:00:6b:00:0b (node-0), 52:54:00:6b:00:0c (node-1) with the role `worker`
    firstboot: give the machine one of these cards, or add `kiln.node=NAME` to the kernel command line
    ");
    assert_eq!(world.tree(), before);
}

#[test]
fn a_node_picked_by_name_takes_the_only_card() {
    let world = World::new();
    world.card("enp1s0", "52:54:00:aa:bb:cc", "1");
    world.cmdline("kiln.node=node-0");
    assert!(!world.boot().failed);
    assert!(world.read("etc/systemd/network/10-kiln.network").contains("MACAddress=52:54:00:aa:bb:cc"));
}

#[test]
fn a_dry_run_prints_the_plan_without_secrets_and_changes_nothing() {
    let world = World::node_0();
    let before = world.tree();
    let said = world.boot_with(&Args { dry_run: true, ..world.args() }, &mut Real);
    assert!(said.console.is_empty());
    assert!(said.stdout.contains("file /var/lib/kubelet/kubelet.key 0600"), "{}", said.stdout);
    assert!(!said.stdout.contains("secret of"), "{}", said.stdout);
    assert_eq!(world.tree(), before);
    assert!(!world.is_wiped());
}

#[test]
fn a_resolver_of_the_image_keeps_its_file() {
    let world = World::node_0();
    fs::create_dir_all(world.root().join("etc")).unwrap();
    let link = world.root().join("etc/resolv.conf");
    fs::os::unix::fs::symlink("../run/systemd/resolve/stub-resolv.conf", &link).unwrap();
    assert!(!world.boot_with(&world.args(), &mut Real).failed);
    assert!(link.is_symlink());
}

#[test]
fn a_template_gets_every_value_and_keeps_other_signs_and_its_mode() {
    let world = World::node_0();
    let text = "@node_name@ @node_fqdn@ @node_ip@/@node_prefix@ @node_mac@ @pod_cidr@ @gateway@\n\
                me@example.org @ @@ @Node@ @node-ip@ \"@node_ip@:@node_name@\"";
    world.template("usr/local/bin/hello", text);
    let template = world.root().join("usr/lib/kiln/node/usr/local/bin/hello");
    fs::set_permissions(&template, PermissionsExt::from_mode(0o755)).unwrap();
    world.boot();
    insta::assert_snapshot!(world.read("usr/local/bin/hello"), @r#"
    node-0 node-0.kubernetes.local 192.168.122.11/24 52:54:00:6b:00:0b 10.200.0.0/24 192.168.122.1
    me@example.org @ @@ @Node@ @node-ip@ "192.168.122.11:node-0"
    "#);
    assert_eq!(world.tree()["/usr/local/bin/hello"].0 & 0o7777, 0o755);
}
