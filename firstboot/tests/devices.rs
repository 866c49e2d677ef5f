//! Devices that are made of network cards, as systemd-networkd is told of them.

use crate::support::World;
use fs_err as fs;

/// What systemd-networkd is told of a bond and of VLANs; tests/sources.rs boots a machine with them.
#[test]
fn bonds_and_vlans_are_systemd_networkd_s() {
    let world = World::node_0();
    for (name, mac) in [("enp2s0", "52:54:00:6b:01:01"), ("enp3s0", "52:54:00:6b:01:02")] {
        world.card(name, mac, "1");
    }
    let platform = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/platforms/netplan-storage/network-config");
    let config = fs::read_to_string(platform).unwrap();
    world.seed(&[("network-config", &config)]);
    let said = world.boot();
    assert!(!said.failed, "{}", said.console);
    let folder = "etc/systemd/network";
    let mut names: Vec<_> = fs::read_dir(world.root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let text: String =
        names.iter().map(|name| format!("# {name}\n{}", world.read(&format!("{folder}/{name}")))).collect();
    insta::assert_snapshot!(text);
}
