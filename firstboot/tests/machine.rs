//! What is seen of a machine: its cards and the partition with the identities, also beside another node's disk.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::support::{NODE_0, World};
use firstboot::args::Args;
use firstboot::machine::Machine;
use fs_err as fs;

fn machine(world: &World) -> Machine {
    Machine::new(&Args { identity: None, dev: "/dev".into(), ..world.args() })
}

/// Makes a disk with an identity partition and a root partition in the kernel's tree.
fn disk(world: &World, name: &str, holds_root: bool) {
    let sys = world.path("sys");
    fs::create_dir_all(sys.join("class/block")).unwrap();
    fs::create_dir_all(sys.join("dev/block")).unwrap();
    for (number, label) in [(3, "kiln-identity"), (4, "root")] {
        let partition = format!("{name}{number}");
        let dir = sys.join("devices").join(name).join(&partition);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("uevent"), format!("DEVTYPE=partition\nPARTN={number}\nPARTNAME={label}\n"))
            .unwrap();
        fs::os::unix::fs::symlink(&dir, sys.join("class/block").join(&partition)).unwrap();
        if holds_root && label == "root" {
            let device = fs::metadata(world.root()).unwrap().dev();
            let number = format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
            fs::os::unix::fs::symlink(&dir, sys.join("dev/block").join(number)).unwrap();
        }
    }
}

#[test]
fn the_identity_is_found_by_its_partition_name() {
    let world = World::new();
    assert_eq!(machine(&world).identity_device().unwrap(), None);
    disk(&world, "vda", false);
    assert_eq!(machine(&world).identity_device().unwrap(), Some(PathBuf::from("/dev/vda3")));
}

#[test]
fn with_two_disks_it_is_the_one_of_the_root_file_system() {
    let world = World::new();
    disk(&world, "vda", false);
    disk(&world, "vdb", true);
    assert_eq!(machine(&world).identity_device().unwrap(), Some(PathBuf::from("/dev/vdb3")));
}

#[test]
fn with_two_disks_and_no_way_to_tell_it_is_refused() {
    let world = World::new();
    disk(&world, "vda", false);
    disk(&world, "vdb", false);
    insta::assert_snapshot!(machine(&world).identity_device().unwrap_err(), @"partitions vda3, vdb3 are all called kiln-identity; detach the disks that are not this node's");
}

#[test]
fn virtual_cards_count_only_when_there_is_no_other() {
    let world = World::new();
    world.card("host0", "52:54:00:00:00:01", "1");
    world.card("sit0", "52:54:00:00:00:02", "776");
    let names = || machine(&world).cards().unwrap().into_iter().map(|card| card.name).collect::<Vec<_>>();
    assert_eq!(names(), ["host0"]);
    world.card("enp1s0", NODE_0, "1");
    fs::create_dir_all(world.path("sys/class/net/enp1s0/device")).unwrap();
    assert_eq!(names(), ["enp1s0"]);
}
