//! NoCloud seeds: as other programs make them, which one wins, and what becomes of them at the next boots.

use crate::support::seed::{KEY, MADE, iso, made};
use crate::support::{Identity, World};
use firstboot::args::Args;
use firstboot::ops::Real;
use fs_err as fs;

#[test]
fn seeds_of_other_programs_are_read() {
    for name in MADE {
        let world = World::node_0();
        world.disk("vdb", &made(name));
        let said = world.boot();
        assert!(
            said.console.contains(": hostname blue (NoCloud, user-data, hostname)"),
            "{name}:\n{}",
            said.console
        );
        assert!(said.console.contains(": instance-id i-1 (NoCloud, meta-data, instance-id)"), "{name}");
        assert!(said.console.contains(": user ubuntu 0 keys"), "{name}:\n{}", said.console);
    }
}

#[test]
fn other_disks_are_none_of_its_business() {
    let world = World::node_0();
    let mut fat = made("fat12");
    let label = b"CIDATA     ";
    while let Some(at) = fat.windows(11).position(|window| window == label) {
        fat[at..at + 11].copy_from_slice(b"OTHER      ");
    }
    world.disk("vdb", &fat);
    world.disk("vdc", &iso("other", &[("user-data", b"nonsense")]));
    world.disk("vdd", b"");
    world.disk("fd0", &made("fat12"));
    world.put("sys/class/block/sr0/dev", b"11:0\n");
    assert!(world.boot().console.contains("hostname node-0 (node table"));
}

#[test]
fn the_same_volume_in_a_partition_is_one_and_two_disks_are_refused() {
    let world = World::node_0();
    world.disk("sda", &made("xorriso"));
    world.disk("sda1", &made("xorriso"));
    world.put("sys/class/block/sda1/partition", b"1\n");
    assert!(!world.boot().failed);
    world.disk("sdb", &made("fat12"));
    insta::assert_snapshot!(world.boot().lines(), @"
    NoCloud: /dev/sda, /dev/sdb all have the label cidata; detach those that are not this node's
    nothing was written; correct this and boot again
    ");
}

#[test]
fn a_seed_has_less_weight_than_credentials_and_more_than_the_table() {
    let world = World::node_0();
    world.seed(&[("user-data", "#cloud-config\nkiln:\n  hostname: seed\n  pod-cidr: 10.200.9.0/24\n")]);
    world.credential("kiln.hostname", "credential");
    let said = world.boot();
    assert!(
        said.console.contains("hostname credential (systemd credentials, kiln.hostname)"),
        "{}",
        said.console
    );
    assert!(
        said.console.contains("pod-cidr 10.200.9.0/24 (NoCloud, user-data, kiln.pod-cidr)"),
        "{}",
        said.console
    );
}

#[test]
fn user_data_wins_over_vendor_data_and_meta_data() {
    let meta = "local-hostname: meta\n";
    for (user, vendor, expected) in [
        ("hostname: user", "hostname: vendor", "user"),
        ("users: []", "hostname: vendor", "vendor"),
        ("fqdn: Full.example.org", "hostname: vendor", "full"),
        ("fqdn: full.example.org\nhostname: short", "", "short"),
        ("kiln: {hostname: ours}\nhostname: theirs", "", "ours"),
        ("{}", "{}", "meta"),
    ] {
        let world = World::node_0();
        let text = |text: &str| format!("#cloud-config\n{text}\n");
        world.seed(&[("meta-data", meta), ("user-data", &text(user)), ("vendor-data", &text(vendor))]);
        let said = world.boot();
        assert!(
            said.console.contains(&format!(": hostname {expected} (NoCloud")),
            "{user}:\n{}",
            said.console
        );
    }
}

#[test]
fn another_instance_is_applied_and_what_it_has_no_more_is_removed() {
    let world = World::node_0();
    let user = format!("#cloud-config\nhostname: blue\nssh_authorized_keys: ['{KEY}']\n");
    let network = "version: 2\nethernets:\n  b: {match: {macaddress: '52:54:00:00:00:02'}, dhcp4: true}\n";
    world.seed(&[("meta-data", "instance-id: one"), ("user-data", &user), ("network-config", network)]);
    assert!(!world.boot().failed);
    let old = ["etc/ssh/authorized_keys.seed/root", "etc/systemd/network/20-kiln-b.network"];
    assert!(old.iter().all(|path| world.root().join(path).exists()));
    world.seed(&[("meta-data", "instance-id: two\nlocal-hostname: green")]);
    let said = world.boot();
    insta::assert_snapshot!(said.lines(), @"
    node-0: hostname green (NoCloud, meta-data, local-hostname)
    node-0: card 52:54:00:6b:00:0b (node table, by MAC 52:54:00:6b:00:0b)
    node-0: address 192.168.122.11/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: gateway 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: dns 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: pod-cidr 10.200.0.0/24 (node table, by MAC 52:54:00:6b:00:0b)
    node-0: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1) (node table)
    node-0: instance-id two (NoCloud, meta-data, instance-id)
    node-0: identity 2 files (taken at an earlier boot)
    node-0: applied 3 files in N ms, 4 unchanged
    ");
    assert!(!old.iter().any(|path| world.root().join(path).exists()));
    assert_eq!(world.boot().lines(), "node-0 is up to date");
}

#[test]
fn an_instance_that_makes_it_another_node_is_refused_and_changes_nothing() {
    for (seed, expected) in [
        (
            "node: node-1",
            "this disk was set up as node `node-0`, and `node-1` has no identity on it any more",
        ),
        ("node: server", "NoCloud, user-data, kiln.node: node `server` has the role `control-plane`"),
        ("hostname: node-1", "NoCloud, user-data, kiln.hostname: node-1 is the name of another node"),
    ] {
        let world = World::node_0();
        assert!(!world.boot().failed);
        let tree = world.tree();
        world.seed(&[("user-data", &format!("#cloud-config\nkiln: {{{seed}}}\n"))]);
        let said = world.boot();
        assert!(said.failed && said.console.contains(expected), "{}", said.console);
        assert_eq!(world.tree(), tree);
    }
}

#[test]
fn the_identity_of_a_seed_is_taken_once_and_wins_over_the_partition() {
    let world = World::node_0();
    let mut carried = Identity::new();
    carried.file("node-0/var/lib/kubelet/kubelet.key", 0o600, b"from the seed\n");
    let with = |identity: &Identity| {
        world.disk("sr0", &iso("cidata", &[("meta-data", b"{}"), ("kiln-identity.tar", &identity.stream())]));
    };
    with(&carried);
    let said = world.boot();
    assert!(said.console.contains("identity 1 file (NoCloud, kiln-identity.tar)"), "{}", said.console);
    assert_eq!(world.read("var/lib/kubelet/kubelet.key"), "from the seed\n");
    assert!(world.is_wiped());
    assert!(!world.read("var/lib/kiln/seed.json").contains("from the seed"));
    let tree = world.tree();
    assert_eq!(world.boot().lines(), "node-0 is up to date");
    assert_eq!(world.tree(), tree);
    let mut renewed = Identity::new();
    renewed.file("node-0/var/lib/kubelet/kubelet.key", 0o600, b"renewed\n");
    with(&renewed);
    assert!(!world.boot().failed);
    assert_eq!(world.read("var/lib/kubelet/kubelet.key"), "renewed\n");
    let mut foreign = Identity::new();
    foreign.file("node-9/x", 0o600, b"x");
    with(&foreign);
    insta::assert_snapshot!(world.boot().lines(), @"
    NoCloud, kiln-identity.tar: identity: it is for `node-9`, and this is node `node-0`; it belongs to another image or disk
    nothing was written; correct this and boot again
    ");
}

#[test]
fn a_seed_that_is_still_there_is_kept_again_after_that_was_removed() {
    let world = World::node_0();
    world.seed(&[("meta-data", "local-hostname: blue")]);
    world.boot();
    let tree = world.tree();
    fs::remove_file(world.root().join("var/lib/kiln/seed.json")).unwrap();
    assert!(world.boot().lines().contains("applied 1 file in"));
    assert_eq!(world.tree(), tree);
}

#[test]
fn a_dry_run_shows_what_a_seed_would_do() {
    let world = World::node_0();
    let user =
        format!("#cloud-config\nusers: [{{name: ada, gecos: Ada L, ssh_authorized_keys: ['{KEY}']}}]\n");
    world.seed(&[("user-data", &user)]);
    let before = world.tree();
    let said = world.boot_with(&Args { dry_run: true, ..world.args() }, &mut Real);
    assert!(said.stdout.contains("user ada /bin/bash Ada L\n"), "{}", said.stdout);
    assert!(said.stdout.contains(&format!("    | {KEY}\n")), "{}", said.stdout);
    assert_eq!(world.tree(), before);
}

#[test]
fn what_is_kept_of_a_seed_is_checked() {
    let world = World::node_0();
    world.put("root/var/lib/kiln/seed.json", b"{\"version\": 1}");
    insta::assert_snapshot!(world.boot().lines(), @"
    /var/lib/kiln/seed.json: missing field `seed` at line 1 column 14; remove it to forget what it says
    nothing was written; correct this and boot again
    ");
}
