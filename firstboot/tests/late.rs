//! What the kernel shows after firstboot has started: cards and seeds. It waits when something is missing, for as long as
//! it was told, and only then.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{self, Identity, NODE_0, Said, World};
use firstboot::args::Args;
use firstboot::ops::Real;
use fs_err as fs;

const STRANGER: &str = "52:54:00:aa:bb:cc";
const SEED: [(&str, &str); 1] = [("meta-data", "local-hostname: node-1\n")];

/// A boot that may wait for a minute; a moment after its start, `happen` changes the machine.
fn boot_until(world: &World, happen: impl FnOnce(&World)) -> Said {
    let args = Args { wait: Duration::from_secs(60), ..world.args() };
    thread::scope(|scope| {
        let boot = scope.spawn(|| world.boot_with(&args, &mut Real));
        thread::sleep(Duration::from_millis(120));
        happen(world);
        let said = boot.join().unwrap();
        assert!(!said.failed, "{}", said.console);
        said
    })
}

/// A boot that may wait for `seconds`, and how long it took.
fn boot_within(world: &World, seconds: u64) -> (Said, Duration) {
    #[expect(clippy::disallowed_methods, reason = "how long a boot took is what is tested")]
    let start = Instant::now();
    let said = world.boot_with(&Args { wait: Duration::from_secs(seconds), ..world.args() }, &mut Real);
    (said, start.elapsed())
}

#[test]
fn a_card_that_is_late_is_waited_for() {
    let world = World::new();
    world.identity(&Identity::workers());
    let said = boot_until(&world, |world| world.card("enp1s0", NODE_0, "1"));
    insta::assert_snapshot!(said.lines().lines().next().unwrap(), @"waiting up to 60 s for a network card or a NoCloud disk that says which node this is");
    assert_eq!(world.read("etc/hostname"), "node-0\n");
}

#[test]
fn a_node_picked_by_name_waits_for_a_card_too() {
    let world = World::new();
    world.identity(&Identity::workers());
    world.cmdline("kiln.node=node-0");
    let said = boot_until(&world, |world| world.card("enp1s0", STRANGER, "1"));
    insta::assert_snapshot!(said.lines().lines().next().unwrap(), @"waiting up to 60 s for a network card");
    assert!(world.read("etc/systemd/network/10-kiln.network").contains(&format!("MACAddress={STRANGER}")));
}

#[test]
fn of_two_late_cards_the_table_s_is_taken() {
    let world = World::with_card("enp1s0", STRANGER);
    world.cmdline("kiln.node=node-0");
    let said = boot_until(&world, |world| world.card("enp2s0", NODE_0, "1"));
    insta::assert_snapshot!(said.lines().lines().next().unwrap(), @"waiting up to 60 s for the network card 52:54:00:6b:00:0b of node-0, while others come");
    assert!(world.read("etc/systemd/network/10-kiln.network").contains(&format!("MACAddress={NODE_0}")));
}

#[test]
fn a_node_on_other_hardware_waits_a_moment_once() {
    let world = World::with_card("enp1s0", STRANGER);
    world.cmdline("kiln.node=node-0");
    let (said, took) = boot_within(&world, 60);
    assert!(!said.failed && took >= Duration::from_secs(1), "{}", said.console);
    assert!(world.read("etc/systemd/network/10-kiln.network").contains(&format!("MACAddress={STRANGER}")));
    assert_eq!(boot_within(&world, 60).0.lines(), "node-0 is up to date");
}

#[test]
fn a_card_that_a_seed_names_is_waited_for_until_udev_has_named_it() {
    let renaming = [("root/run/udev/data/n2", "I:1\nE:ID_RENAMING=1\n")];
    for before in [&[][..], &renaming] {
        let world = World::with_card("eth0", NODE_0);
        world.put("sys/class/net/eth0/ifindex", b"2\n");
        world.put("root/run/udev/control", b"");
        before.iter().for_each(|(path, text)| world.put(path, text.as_bytes()));
        let network = "version: 2\nethernets:\n  ens33: {addresses: [192.168.122.55/24]}\n";
        world.seed(&[("network-config", network)]);
        let said = boot_until(&world, |world| {
            let cards = world.path("sys/class/net");
            fs::rename(cards.join("eth0"), cards.join("ens33")).unwrap();
            world.put("root/run/udev/data/n2", b"I:1\nE:ID_NET_NAME_SLOT=ens33\n");
        });
        assert!(said.console.contains("waiting up to 5 s for the names of the network cards"));
        assert!(world.read("etc/systemd/network/10-kiln.network").contains("Address=192.168.122.55/24"));
    }
}

#[test]
fn a_seed_that_is_late_is_waited_for_by_a_machine_that_nothing_else_knows() {
    let world = World::with_card("enp1s0", STRANGER);
    boot_until(&world, |world| world.seed(&SEED));
    assert_eq!(world.read("etc/hostname"), "node-1\n");
}

#[test]
fn a_seed_that_is_announced_is_waited_for() {
    let announce: [fn(&World); 3] = [
        |world| world.cmdline("quiet ds=nocloud"),
        |world| world.serial("ds=nocloud"),
        |world| world.serial("ds=nocloud-net;i=one"),
    ];
    let mut waits = String::new();
    for announce in announce {
        let world = World::node_0();
        announce(&world);
        let said =
            boot_until(&world, |world| world.seed(&[("user-data", "#cloud-config\nhostname: blue\n")]));
        assert_eq!(world.read("etc/hostname"), "blue\n");
        waits += &format!("{}\n", said.lines().lines().next().unwrap());
    }
    insta::assert_snapshot!(waits, @"
    waiting up to 60 s for the NoCloud disk that is announced by kernel command line
    waiting up to 60 s for the NoCloud disk that is announced by SMBIOS, serial number
    waiting up to 60 s for the NoCloud disk that is announced by SMBIOS, serial number
    ");
}

#[test]
fn a_drive_that_has_no_driver_yet_may_have_a_seed() {
    let mut waits = String::new();
    // Who needs one waits longer than who does not.
    for (world, seed, host) in [
        (World::node_0(), "#cloud-config\nhostname: blue\n", "blue\n"),
        (World::with_card("enp1s0", STRANGER), "#cloud-config\nhostname: node-1\n", "node-1\n"),
    ] {
        world.put("sys/bus/scsi/devices/host1/uevent", b"");
        world.put("sys/bus/scsi/devices/0:0:0:0/type", b"0\n");
        world.put("sys/bus/scsi/devices/1:0:0:0/type", b"5\n");
        let said = boot_until(&world, |world| {
            world.seed(&[("user-data", seed)]);
            world.put("sys/bus/scsi/devices/1:0:0:0/block/sr0/dev", b"11:0\n");
        });
        waits += &format!("{}\n", said.lines().lines().next().unwrap());
        assert_eq!(world.read("etc/hostname"), host);
    }
    insta::assert_snapshot!(waits, @"
    waiting up to 5 s for the driver of a CD-ROM drive
    waiting up to 60 s for the driver of a CD-ROM drive
    ");
}

#[test]
fn a_seed_with_the_identity_is_waited_for_by_a_node_without_one() {
    let world = World::new();
    world.card("enp1s0", NODE_0, "1");
    let stream = Identity::workers().stream();
    let said = boot_until(&world, |world| {
        world.disk("sr0", &support::seed::iso("cidata", &[("kiln-identity.tar", &stream)]));
    });
    insta::assert_snapshot!(said.lines().lines().next().unwrap(), @"waiting up to 60 s for a NoCloud disk with the identity of node-0");
    assert_eq!(world.read("var/lib/kubelet/kubelet.key"), "secret of node-0\n");
}

#[test]
fn a_seed_that_does_not_come_stops_nothing() {
    let world = World::node_0();
    world.cmdline("ds=nocloud;h=blue");
    let (said, took) = boot_within(&world, 1);
    assert!(!said.failed && took >= Duration::from_secs(1), "{}", said.console);
    insta::assert_snapshot!(said.lines().lines().take(3).collect::<Vec<_>>().join("\n"), @"
    waiting up to 1 s for the NoCloud disk that is announced by kernel command line
    it did not come
    node-0: hostname blue (kernel command line, h)
    ");
}

#[test]
fn nothing_is_waited_for_without_a_reason() {
    let server: fn(&World) = |world| world.serial("ds=nocloud;s=http://10.0.0.1/");
    let here: fn(&World) = |world| {
        world.serial("ds=nocloud");
        world.seed(&[("meta-data", "instance-id: one\n")]);
    };
    let plain: fn(&World) = |_| {};
    for make in [server, here, plain] {
        let world = World::node_0();
        make(&world);
        for _ in 0..2 {
            let (said, took) = boot_within(&world, 60);
            assert!(!said.failed && took < Duration::from_secs(30), "{}", said.console);
            assert!(!said.console.contains("waiting"), "{}", said.console);
        }
    }
}

#[test]
fn an_announced_disk_that_was_taken_away_is_waited_for_a_shorter_time() {
    let world = World::node_0();
    world.serial("ds=nocloud");
    world.seed(&[("meta-data", "instance-id: one\n")]);
    world.boot();
    world.detach();
    let (said, took) = boot_within(&world, 60);
    assert!(took < Duration::from_secs(30));
    insta::assert_snapshot!(said.lines(), @"
    waiting up to 5 s for the NoCloud disk that is announced by SMBIOS, serial number
    it did not come
    node-0 is up to date
    ");
}
