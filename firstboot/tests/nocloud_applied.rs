//! What is applied of a NoCloud seed: the files that multipass and virt-install bring about, users, and network cards.

use std::os::unix::fs::PermissionsExt;

use crate::support::seed::KEY;
use crate::support::{AnyOwner, Identity, World};
use fs_err as fs;

/// What multipass 1.16 writes for `multipass launch --name node-1 --network …`.
const MULTIPASS: [(&str, &str); 4] = [
    ("meta-data", "#cloud-config\ninstance-id: node-1\nlocal-hostname: node-1\ncloud-name: multipass\n"),
    ("user-data", "#cloud-config\n{}\n"),
    (
        "vendor-data",
        "#cloud-config
growpart:
    mode: auto
    devices: [\"/\"]
    ignore_growroot_disabled: false
users:
    - default
manage_etc_hosts: true
ssh_authorized_keys:
    - ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ ubuntu@localhost
timezone: Europe/Berlin
system_info:
    default_user:
        name: ubuntu
write_files:
    - path: /etc/pollinate/add-user-agent
      content: |
        multipass/version/1.16.0 # written by Multipass
packages:
    - pollinate
",
    ),
    (
        "network-config",
        "#cloud-config
version: \"2\"
ethernets:
    default:
        match:
            macaddress: \"52:54:00:4b:aa:bb\"
        dhcp4: true
    extra0:
        match:
            macaddress: \"52:54:00:00:00:99\"
        dhcp4: true
        dhcp4-overrides:
            route-metric: 200
        optional: true
",
    ),
];

#[test]
fn a_seed_of_multipass_makes_the_node_of_its_name() {
    let world = World::with_card("ens3", "52:54:00:4b:aa:bb");
    world.put("root/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\nold:x:1000:1000::/home/old:/bin/sh\n");
    world.put("root/etc/group", b"root:x:0:\nold:x:1000:\n");
    world.put("root/etc/shadow", b"root:*:19000:0:99999:7:::\nold:!:::::::\n");
    fs::set_permissions(world.root().join("etc/shadow"), PermissionsExt::from_mode(0o640)).unwrap();
    world.seed(&MULTIPASS);
    let said = world.boot_with(&world.args(), &mut AnyOwner::default());
    insta::assert_snapshot!(said.lines(), @"
    node-1: ignored, Kiln's images do nothing with it: NoCloud, vendor-data, growpart
    node-1: ignored, Kiln's images do nothing with it: NoCloud, vendor-data, manage_etc_hosts
    node-1: ignored, Kiln's images do nothing with it: NoCloud, vendor-data, timezone
    node-1: ignored, Kiln's images do nothing with it: NoCloud, vendor-data, write_files
    node-1: ignored, Kiln's images do nothing with it: NoCloud, vendor-data, packages
    node-1: ignored, Kiln's images do nothing with it: NoCloud, meta-data, cloud-name
    node-1: hostname node-1 (NoCloud, meta-data, local-hostname)
    node-1: card 52:54:00:4b:aa:bb (the only network card, ens3)
    node-1: address 192.168.122.12/24 (node table, by host name: NoCloud, meta-data, local-hostname)
    node-1: gateway 192.168.122.1 (node table, by host name: NoCloud, meta-data, local-hostname)
    node-1: dns 192.168.122.1 (node table, by host name: NoCloud, meta-data, local-hostname)
    node-1: pod-cidr 10.200.1.0/24 (node table, by host name: NoCloud, meta-data, local-hostname)
    node-1: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.0.0/24 via 192.168.122.11 (node-0) (node table)
    node-1: card also 52:54:00:4b:aa:bb dhcp4 (NoCloud, network-config, ethernets.default)
    node-1: card extra0 52:54:00:00:00:99 dhcp4 (NoCloud, network-config, ethernets.extra0)
    node-1: user ubuntu 1 key (NoCloud, vendor-data, system_info; NoCloud, vendor-data, ssh_authorized_keys)
    node-1: instance-id node-1 (NoCloud, meta-data, instance-id)
    node-1: identity 2 files (/identity)
    node-1: applied 14 files in N ms, 0 unchanged
    ");
    insta::assert_snapshot!(world.read("etc/passwd"), @"
    root:x:0:0:root:/root:/bin/bash
    old:x:1000:1000::/home/old:/bin/sh
    ubuntu:x:1001:1001::/home/ubuntu:/bin/bash
    ");
    insta::assert_snapshot!(world.read("etc/shadow"), @"
    root:*:19000:0:99999:7:::
    old:!:::::::
    ubuntu:!*:::::::
    ");
    insta::assert_snapshot!(world.read("etc/group"), @"
    root:x:0:
    old:x:1000:
    ubuntu:x:1001:
    ");
    insta::assert_snapshot!(world.read("etc/ssh/authorized_keys.seed/ubuntu"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ ubuntu@localhost
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/10-kiln.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    MACAddress=52:54:00:4b:aa:bb
    Type=ether

    [Network]
    Address=192.168.122.12/24
    Gateway=192.168.122.1
    DHCP=ipv4
    DNS=192.168.122.1
    IPv6AcceptRA=no

    # Pods of server
    [Route]
    Destination=10.200.2.0/24
    Gateway=192.168.122.10

    # Pods of node-0
    [Route]
    Destination=10.200.0.0/24
    Gateway=192.168.122.11
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/20-kiln-extra0.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    MACAddress=52:54:00:00:00:99
    Type=ether

    [Link]
    RequiredForOnline=no

    [Network]
    DHCP=ipv4

    [DHCPv4]
    RouteMetric=200
    ");
    let tree = world.tree();
    assert_eq!(tree["/home/ubuntu"].0 & 0o7777, 0o700);
    assert_eq!(tree["/etc/shadow"].0 & 0o7777, 0o640);
    let said = world.boot_with(&world.args(), &mut AnyOwner::default());
    assert_eq!(said.lines(), "node-1 is up to date");
    assert_eq!(world.tree(), tree);
}

#[test]
fn a_seed_of_virt_install_gives_root_its_key() {
    let world = World::node_0();
    // The identity has one for root too.
    let mut identity = Identity::workers();
    identity.file("node-0/etc/ssh/authorized_keys.d/root", 0o644, b"ssh-ed25519 AAAA builder\n");
    world.identity(&identity);
    let user = format!(
        "#cloud-config\nchpasswd:\n  list: |\n    root:x\n  expire: True\nusers:\n  - default\n  - name: root\n    \
         ssh_authorized_keys:\n      - {KEY}\nruncmd:\n- echo \"Disabled by virt-install\" > /etc/cloud/cloud-init.disabled\n"
    );
    world.seed(&[("meta-data", ""), ("user-data", &user)]);
    let said = world.boot();
    assert!(said.console.contains("ignored, Kiln's images do nothing with it: NoCloud, user-data, runcmd"));
    assert!(said.console.contains(": user root 1 key (NoCloud, user-data, users)"), "{}", said.console);
    assert!(world.read("etc/ssh/authorized_keys.seed/root").ends_with(&format!("{KEY}\n")));
    // It takes the disk away after the first boot.
    let tree = world.tree();
    world.detach();
    assert_eq!(world.boot().lines(), "node-0 is up to date");
    assert_eq!(world.tree(), tree);
}

#[test]
fn cards_get_what_network_config_says() {
    let world = World::node_0();
    world.card("enp2s0", "52:54:00:00:00:02", "1");
    let network = "network:
  version: 2
  renderer: networkd
  ethernets:
    cluster:
      match: {macaddress: '52:54:00:6b:00:0b'}
      addresses: [192.168.122.55/24, '2001:db8::55/64']
      routes:
        - {to: default, via: 192.168.122.254}
        - {to: default, via: 'fe80::1', on-link: true}
      nameservers: {addresses: [9.9.9.9, '2620:fe::fe'], search: [example.org]}
      mtu: 1400
    storage:
      match: {name: enp2*}
      addresses: [10.1.2.3/16]
      routes: [{to: 10.3.0.0/16, via: 10.1.0.1, metric: 50}]
      dhcp6: yes
      optional: true
";
    world.seed(&[("network-config", network)]);
    insta::assert_snapshot!(world.boot().lines(), @"
    node-0: ignored, Kiln's images do nothing with it: NoCloud, network-config, network.renderer
    node-0: hostname node-0 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: card 52:54:00:6b:00:0b (node table, by MAC 52:54:00:6b:00:0b)
    node-0: address 192.168.122.55/24 (NoCloud, network-config, network.ethernets.cluster, address)
    node-0: gateway 192.168.122.254 (NoCloud, network-config, network.ethernets.cluster, gateway)
    node-0: dns 9.9.9.9, 2620:fe::fe (NoCloud, network-config, network.ethernets.cluster, nameservers)
    node-0: pod-cidr 10.200.0.0/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1) (node table)
    node-0: card also 52:54:00:6b:00:0b 2001:db8::55/64 ::/0 via fe80::1 (NoCloud, network-config, network.ethernets.cluster)
    node-0: card storage enp2* dhcp6 10.1.2.3/16 10.3.0.0/16 via 10.1.0.1 (NoCloud, network-config, network.ethernets.storage)
    node-0: identity 2 files (/identity)
    node-0: applied 10 files in N ms, 0 unchanged
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/10-kiln.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    MACAddress=52:54:00:6b:00:0b
    Type=ether

    [Link]
    MTUBytes=1400

    [Network]
    Address=192.168.122.55/24
    Address=2001:db8::55/64
    Gateway=192.168.122.254
    DNS=9.9.9.9
    DNS=2620:fe::fe
    Domains=example.org
    IPv6AcceptRA=no

    [Route]
    Destination=::/0
    Gateway=fe80::1
    GatewayOnLink=yes

    # Pods of server
    [Route]
    Destination=10.200.2.0/24
    Gateway=192.168.122.10

    # Pods of node-1
    [Route]
    Destination=10.200.1.0/24
    Gateway=192.168.122.12
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/20-kiln-storage.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    Name=enp2*
    Kind=!*
    Type=ether

    [Link]
    RequiredForOnline=no

    [Network]
    DHCP=ipv6
    Address=10.1.2.3/16
    IPv6AcceptRA=yes

    [Route]
    Destination=10.3.0.0/16
    Gateway=10.1.0.1
    Metric=50
    ");
}

#[test]
fn a_default_route_with_a_metric_or_on_link_takes_the_place_of_the_table_s_gateway() {
    for (route, expected) in [
        ("via: 192.168.122.254, metric: 100", "Gateway=192.168.122.254\nMetric=100\n"),
        ("via: 10.0.0.1, on-link: true", "Gateway=10.0.0.1\nGatewayOnLink=yes\n"),
    ] {
        let world = World::node_0();
        let network = format!("version: 2\nethernets:\n  enp1s0: {{routes: [{{to: default, {route}}}]}}\n");
        world.seed(&[("network-config", &network)]);
        let said = world.boot();
        assert!(!said.failed && !said.console.contains("gateway"), "{}", said.console);
        let text = world.read("etc/systemd/network/10-kiln.network");
        assert!(text.contains(&format!("[Route]\nDestination=0.0.0.0/0\n{expected}")), "{text}");
        assert!(!text.contains("Gateway=192.168.122.1\n"), "{text}");
        // What a source says of the gateway itself still counts.
        world.cmdline("kiln.gateway=192.168.122.253");
        assert!(world.boot().console.contains("gateway 192.168.122.253 (kernel command line"));
    }
}

#[test]
fn a_pattern_sets_up_the_other_cards_that_it_means() {
    let other = "etc/systemd/network/20-kiln-id0.network";
    for (cards, addresses, expected) in
        [(1, "", false), (2, "", true), (2, ", addresses: [192.168.122.55/24]", false)]
    {
        let world = World::node_0();
        if cards == 2 {
            world.card("enp2s0", "52:54:00:00:00:02", "1");
        }
        let entry = format!("{{match: {{name: 'en*'}}, dhcp4: true{addresses}}}");
        world.seed(&[("network-config", &format!("version: 2\nethernets: {{id0: {entry}}}\n"))]);
        let said = world.boot();
        assert!(!said.failed, "{}", said.console);
        assert!(world.read("etc/systemd/network/10-kiln.network").contains("DHCP=ipv4\n"));
        assert_eq!(world.root().join(other).exists(), expected, "{cards} {addresses}:\n{}", said.console);
        assert_eq!(said.console.contains(": card id0 en* dhcp4 (NoCloud"), expected, "{}", said.console);
        if expected {
            assert!(
                world.read(other).contains("[Match]\nName=en*\nKind=!*\nType=ether\n"),
                "{}",
                world.read(other)
            );
        }
    }
}

#[test]
fn version_1_says_the_same() {
    let world = World::new();
    world.card("enp1s0", "52:54:00:00:00:01", "1");
    world.card("enp2s0", "52:54:00:00:00:02", "1");
    world.identity(&Identity::workers());
    let network = "version: 1
config:
  - type: physical
    name: eth0
    mac_address: 52:54:00:00:00:02
    subnets:
      - type: static
        address: 192.168.122.11
        netmask: 255.255.255.0
        gateway: 192.168.122.254
        dns_nameservers: [9.9.9.9]
      - {type: static6, address: '2001:db8::11/64'}
  - type: physical
    name: enp1s0
    subnets: [{type: dhcp}, {type: ipv6_slaac}]
  - {type: route, destination: 10.7.0.0/16, gateway: 192.168.122.9}
  - {type: nameserver, address: [1.1.1.1]}
";
    world.seed(&[("meta-data", "local-hostname: node-0\n"), ("network-config", network)]);
    insta::assert_snapshot!(world.boot().lines(), @"
    node-0: hostname node-0 (NoCloud, meta-data, local-hostname)
    node-0: card 52:54:00:00:00:02 (NoCloud, network-config, config[0])
    node-0: address 192.168.122.11/24 (NoCloud, network-config, config[0], address)
    node-0: gateway 192.168.122.254 (NoCloud, network-config, config[0], gateway)
    node-0: dns 9.9.9.9, 1.1.1.1 (NoCloud, network-config, config[0], nameservers)
    node-0: pod-cidr 10.200.0.0/24 (node table, by host name: NoCloud, meta-data, local-hostname)
    node-0: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1) (node table)
    node-0: card also 52:54:00:00:00:02 2001:db8::11/64 10.7.0.0/16 via 192.168.122.9 (NoCloud, network-config, config[0])
    node-0: card enp1s0 enp1s0 dhcp4 (NoCloud, network-config, config[1])
    node-0: identity 2 files (/identity)
    node-0: applied 10 files in N ms, 0 unchanged
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/10-kiln.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    MACAddress=52:54:00:00:00:02
    Type=ether

    [Network]
    Address=192.168.122.11/24
    Address=2001:db8::11/64
    Gateway=192.168.122.254
    DNS=9.9.9.9
    DNS=1.1.1.1
    IPv6AcceptRA=no

    [Route]
    Destination=10.7.0.0/16
    Gateway=192.168.122.9

    # Pods of server
    [Route]
    Destination=10.200.2.0/24
    Gateway=192.168.122.10

    # Pods of node-1
    [Route]
    Destination=10.200.1.0/24
    Gateway=192.168.122.12
    ");
    insta::assert_snapshot!(world.read("etc/systemd/network/20-kiln-enp1s0.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    Name=enp1s0
    Kind=!*
    Type=ether

    [Network]
    DHCP=ipv4
    DNS=1.1.1.1
    IPv6AcceptRA=yes
    ");
}
