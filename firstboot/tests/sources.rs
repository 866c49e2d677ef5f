//! Every source: what it is read from, what it says, and which one wins.

use crate::support::cloud::{EC2, ec2};
use crate::support::{Said, World};
use firstboot::source::ORDER;
use fs_err as fs;

/// A way to set a key in one source, whatever its form there.
type Set = fn(&World, &str, &str);

/// The sources with keys, in the order of precedence.
const KEYED: [(&str, Set); 4] = [
    ("kernel command line", |world, key, value| world.cmdline(&format!("quiet kiln.{key}={value}"))),
    ("SMBIOS", |world, key, value| world.oem_strings(&["other=1", &format!("kiln.{key}={value}")])),
    ("QEMU fw_cfg", |world, key, value| world.fw_cfg(&format!("opt/kiln/{key}"), value)),
    ("systemd credentials", |world, key, value| world.credential(&format!("kiln.{key}"), value)),
];

/// The line of the console about a value.
fn line<'a>(said: &'a Said, key: &str) -> &'a str {
    assert!(!said.failed, "{}", said.console);
    let part = format!(": {key} ");
    said.console.lines().find(|line| line.contains(&part)).unwrap_or_default()
}

#[test]
fn each_source_sets_each_key() {
    let values = [
        ("hostname", "blue"),
        ("address", "192.168.122.77/24"),
        ("gateway", "192.168.122.254"),
        ("dns", "9.9.9.9,2620:fe::fe"),
        ("pod-cidr", "10.200.9.0/24"),
    ];
    for (name, set) in KEYED {
        for (key, value) in values {
            let world = World::node_0();
            set(&world, key, value);
            let said = world.boot();
            let line = line(&said, key);
            assert!(line.contains(&format!("{key} {}", value.replace(',', ", "))), "{name}: {line}");
            assert!(line.contains(&format!("({name}, ")), "{name}: {line}");
        }
        let world = World::node_0();
        set(&world, "node", "node-1");
        assert!(world.boot().console.contains("firstboot: node-1: hostname node-1"), "{name}");
    }
}

#[test]
fn of_two_sources_the_earlier_wins() {
    assert!(KEYED.len() <= ORDER.len());
    for (index, (name, set)) in KEYED.iter().enumerate() {
        for (lower, set_lower) in &KEYED[index + 1..] {
            let world = World::node_0();
            set_lower(&world, "hostname", "lower");
            set_lower(&world, "pod-cidr", "10.200.9.0/24");
            set(&world, "hostname", "higher");
            let said = world.boot();
            assert!(line(&said, "hostname").contains(&format!("higher ({name}, ")), "{}", said.console);
            assert!(line(&said, "pod-cidr").contains(&format!("({lower}, ")), "{}", said.console);
        }
    }
}

#[test]
fn metadata_give_way_to_every_other_source_and_win_over_the_table() {
    let user = ("/latest/user-data", "#cloud-config\nkiln: {pod-cidr: 10.200.8.0/24, dns: 9.9.9.9}\n");
    let seed: Set = |world, key, value| {
        world.seed(&[("user-data", &format!("#cloud-config\nkiln: {{{key}: {value}}}\n"))]);
    };
    for (name, set) in KEYED.into_iter().chain([("NoCloud", seed)]) {
        let world = World::node_0();
        world.edit_table("\"nodes\"", "\"metadata\": \"ec2\", \"nodes\"");
        world.metadata(ec2(&[EC2[0], user]));
        set(&world, "pod-cidr", "10.200.9.0/24");
        world.boot();
        let said = world.boot_metadata();
        assert!(line(&said, "pod-cidr").contains(&format!("10.200.9.0/24 ({name}, ")), "{}", said.console);
        assert!(line(&said, "dns").contains("9.9.9.9 (ec2 metadata, user-data"), "{}", said.console);
        assert!(line(&said, "gateway").contains("(node table"), "{}", said.console);
    }
}

#[test]
fn a_wrong_key_is_named_with_its_source() {
    let mut text = String::new();
    for (_, set) in KEYED {
        for (key, value) in [("adress", "192.168.122.77/24"), ("gateway", "gw")] {
            let world = World::node_0();
            let before = world.tree();
            set(&world, key, value);
            let said = world.boot();
            assert!(said.failed && world.tree() == before);
            text.push_str(said.console.lines().next().unwrap());
            text.push('\n');
        }
    }
    insta::assert_snapshot!(text, @"
    firstboot: kernel command line: unknown key `kiln.adress`; did you mean `kiln.address`? The keys are `kiln.address`, `kiln.dns`, `kiln.gateway`, `kiln.hostname`, `kiln.metadata`, `kiln.node`, `kiln.peers`, `kiln.pod-cidr`
    firstboot: kernel command line: `kiln.gateway` is `gw`; write a host's address, like `192.168.122.1`
    firstboot: SMBIOS: unknown key `kiln.adress`; did you mean `kiln.address`? The keys are `kiln.address`, `kiln.dns`, `kiln.gateway`, `kiln.hostname`, `kiln.metadata`, `kiln.node`, `kiln.peers`, `kiln.pod-cidr`
    firstboot: SMBIOS: `kiln.gateway` is `gw`; write a host's address, like `192.168.122.1`
    firstboot: QEMU fw_cfg: unknown key `opt/kiln/adress`; did you mean `opt/kiln/address`? The keys are `opt/kiln/address`, `opt/kiln/dns`, `opt/kiln/gateway`, `opt/kiln/hostname`, `opt/kiln/metadata`, `opt/kiln/node`, `opt/kiln/peers`, `opt/kiln/pod-cidr`
    firstboot: QEMU fw_cfg: `opt/kiln/gateway` is `gw`; write a host's address, like `192.168.122.1`
    firstboot: systemd credentials: unknown key `kiln.adress`; did you mean `kiln.address`? The keys are `kiln.address`, `kiln.dns`, `kiln.gateway`, `kiln.hostname`, `kiln.metadata`, `kiln.node`, `kiln.peers`, `kiln.pod-cidr`
    firstboot: systemd credentials: `kiln.gateway` is `gw`; write a host's address, like `192.168.122.1`
    ");
}

#[test]
fn a_serial_number_of_ours_or_of_cloud_init_is_read_and_any_other_is_not() {
    for serial in ["kiln.node=node-1", "kiln.node=node-1;kiln.hostname=blue"] {
        let world = World::node_0();
        world.serial(serial);
        assert!(world.boot().console.contains("firstboot: node-1: hostname"), "{serial}");
    }
    let world = World::new();
    world.card("enp1s0", "52:54:00:aa:bb:cc", "1");
    world.serial("ds=nocloud;h=node-1;s=http://10.0.0.1/");
    let said = world.boot();
    insta::assert_snapshot!(said.console.lines().take(2).collect::<Vec<_>>().join("\n"), @"
    firstboot: node-1: ignored, Kiln's images do nothing with it: SMBIOS, serial number, s=http://10.0.0.1/
    firstboot: node-1: hostname node-1 (SMBIOS, serial number, h)
    ");
    for serial in ["VMware-56 4d 4b", "", "Not Specified", "ds=openstack;h=node-1", "\u{e9}kiln.node=x"] {
        let world = World::node_0();
        world.serial(serial);
        assert!(line(&world.boot(), "hostname").contains("node-0"), "{serial}");
    }
}

#[test]
fn cloud_init_s_words_give_a_host_name_as_its_seeds_do_and_give_way_to_our_own_key() {
    let boot = |cmdline: &str, serial: &str| {
        let world = World::with_card("enp1s0", "52:54:00:aa:bb:cc");
        world.cmdline(cmdline);
        world.serial(serial);
        let said = world.boot();
        let lines = said.console.lines().map(|line| line.trim_start_matches("firstboot: "));
        lines.take(3).filter(|line| !line.contains(": card ")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(boot("quiet ds=nocloud;h=Node-1.example.org", ""), @"
    node-1: hostname node-1 (kernel command line, h)
    node-1: address 192.168.122.12/24 (node table, by host name: kernel command line, h)
    ");
    insta::assert_snapshot!(boot("kiln.hostname=blue ds=nocloud;h=node-1", ""), @"
    node-1: hostname blue (kernel command line, kiln.hostname)
    node-1: address 192.168.122.12/24 (node table, by host name: kernel command line, h)
    ");
    insta::assert_snapshot!(boot("", "ds=nocloud;local-hostname=a_b"), @"
    SMBIOS: `local-hostname` is `a_b`; write a host name of letters, digits and hyphens, like `node-0`
    nothing was written; correct this and boot again
    ");
    insta::assert_snapshot!(boot("ds=nocloud;h=a;local-hostname=b", ""), @"
    kernel command line: `local-hostname` is given twice
    nothing was written; correct this and boot again
    ");
}

#[test]
fn a_host_name_picks_the_node_when_no_card_does() {
    let world = World::new();
    world.card("enp1s0", "52:54:00:aa:bb:cc", "1");
    world.credential("kiln.hostname", "node-1\n");
    assert!(line(&world.boot(), "address").contains("by host name: systemd credentials, kiln.hostname"));
    let world = World::node_0();
    world.credential("kiln.hostname", "node-1");
    insta::assert_snapshot!(world.boot().console.lines().next().unwrap(), @"firstboot: systemd credentials, kiln.hostname: node-1 is the name of another node, and this is `node-0`");
}

#[test]
fn a_host_name_that_is_no_node_s_leaves_the_choice_to_the_next_one() {
    let world = World::with_card("enp1s0", "52:54:00:aa:bb:cc");
    let files = [("meta-data", "local-hostname: node-1\n"), ("user-data", "#cloud-config\nhostname: blue\n")];
    world.seed(&files);
    let said = world.boot();
    assert!(line(&said, "hostname").contains("blue (NoCloud, user-data, hostname)"), "{}", said.console);
    assert!(line(&said, "address").contains("by host name: NoCloud, meta-data, local-hostname"));
    // What is kept of it says the same.
    world.detach();
    assert_eq!(world.boot().lines(), "node-1 is up to date");
    world.cmdline("kiln.hostname=red");
    let said = world.boot();
    assert!(line(&said, "hostname").contains("red (kernel command line"), "{}", said.console);
    assert!(line(&said, "address").contains("by host name: NoCloud, meta-data, local-hostname"));
}

#[test]
fn strings_of_others_are_skipped() {
    let world = World::node_0();
    world.oem_strings(&["io.systemd.credential:kiln.node=node-1", "Kiln.node=node-1", ""]);
    world.fw_cfg("opt/org.example/node", "node-1");
    world.credential("other.node", "node-1");
    assert!(line(&world.boot(), "hostname").contains("node-0 (node table"));
}

#[test]
fn a_damaged_source_is_refused() {
    let world = World::node_0();
    world.put("sys/firmware/dmi/entries/11-0/raw", &[11]);
    insta::assert_snapshot!(world.boot().console.lines().next().unwrap(), @"firstboot: SMBIOS: `/sys/firmware/dmi/entries/11-0/raw` is no structure of OEM strings");
    let world = World::node_0();
    world.put("credentials/kiln.node", &vec![b'x'; 300 << 10]);
    insta::assert_snapshot!(world.boot().console.lines().next().unwrap(), @"firstboot: systemd credentials: `/credentials/kiln.node` is larger than 262144 bytes");
    let world = World::node_0();
    fs::create_dir_all(world.path("credentials/kiln.node")).unwrap();
    insta::assert_snapshot!(world.boot().console.lines().next().unwrap(), @"firstboot: systemd credentials: failed to read from file `/credentials/kiln.node`: Is a directory (os error 21)");
}
