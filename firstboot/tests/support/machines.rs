//! Machines that have more to do than a new node, and what of them outlives a reboot.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;

use firstboot::ops::Ops;

use super::{AnyOwner, Said, World, cloud};

/// A machine with a seed that has everything: users, cards and keys.
pub fn seeded() -> World {
    let world = World::node_0();
    world.put("root/etc/shadow", b"root:*:::::::\n");
    world.put("root/etc/gshadow", b"root:*::\n");
    full_seed(&world);
    world
}

/// Attaches a seed that has everything.
pub fn full_seed(world: &World) {
    let key = "ssh-ed25519 AAAA ada";
    let user =
        format!("#cloud-config\nhostname: blue\nusers: [{{name: ada, ssh_authorized_keys: ['{key}']}}]\n");
    let network = "version: 2\nethernets:\n  b: {match: {name: enp2s0}, dhcp4: true}\n";
    world.seed(&[("meta-data", "instance-id: one"), ("user-data", &user), ("network-config", network)]);
}

/// A configured machine that gets another seed, with less in it.
pub fn reseeded() -> World {
    let world = seeded();
    assert!(!world.boot_with(&world.args(), &mut AnyOwner::default()).failed);
    small_seed(&world);
    world
}

/// Attaches a seed that has little.
pub fn small_seed(world: &World) {
    world.seed(&[("meta-data", "instance-id: two\nlocal-hostname: green")]);
}

/// A configured machine with a seed that has little.
pub fn settled() -> World {
    let world = seeded();
    small_seed(&world);
    assert!(!world.boot_with(&world.args(), &mut AnyOwner::default()).failed);
    world
}

/// The files that no account has brought and no cut has left unfinished: these stay.
pub fn own(world: &World) -> Tree {
    let mut tree = permanent(world);
    tree.retain(|path, (mode, _)| {
        let account = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"].contains(&&**path);
        *mode & 0o170_000 == 0o100_000 && !account && !path.ends_with(".kiln-new")
    });
    tree
}

/// A machine in a cloud.
pub fn in_a_cloud() -> World {
    let world = World::with_card("ens5", "0a:00:00:00:00:01");
    world.cmdline("kiln.metadata=ec2");
    world.metadata(cloud::ec2(&cloud::EC2));
    world
}

/// Mode and bytes of files and folders by their absolute paths.
pub type Tree = BTreeMap<String, (u32, Vec<u8>)>;

/// The tree without what a reboot clears.
pub fn permanent(world: &World) -> Tree {
    let mut tree = world.tree();
    tree.retain(|path, _| !path.starts_with("/run"));
    tree
}

/// A whole boot: with the run after the network when the one before it asks for that.
pub fn boot(world: &World, ops: &mut dyn Ops) -> Said {
    let _ = fs_err::remove_dir_all(world.root().join("run"));
    let said = world.boot_with(&world.args(), ops);
    if said.failed || !world.root().join("run/kiln/metadata").exists() {
        return said;
    }
    world.boot_with(&world.metadata_args(), ops)
}
