//! Power cuts: firstboot is stopped at every operation that changes state, before it and in the middle of it, and the
//! next boot has to reach the very same machine, with the identity never lost. `firstboot peers` meets full and broken
//! disks here, too; those of a boot are in `full_disk.rs`.

use std::io;
use std::path::Path;

use crate::support::machines::{
    boot, full_seed, in_a_cloud, own, permanent, reseeded, seeded, settled, small_seed,
};
use crate::support::network::Fake;
use crate::support::seed::iso;
use crate::support::{self, AnyOwner, Identity, World};
use firstboot::image::Owner;
use firstboot::ops::{Ops, Real};
use firstboot::record::Record;
use fs_err as fs;
use nix::errno::Errno;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The power goes before it.
    Before,
    /// The power goes in the middle of it; operations that the kernel does as a whole are done.
    Middle,
    /// It fails, and the program goes on to clean up.
    Error {
        errno: Errno,
        /// It is done in part, as when a disk becomes full.
        half: bool,
        /// So does everything after it that needs room.
        lasting: bool,
    },
}

/// The real operations up to a given one.
struct Failing {
    left: usize,
    fault: Fault,
    failed: bool,
}

impl Failing {
    fn after(left: usize, fault: Fault) -> Self {
        Self { left, fault, failed: false }
    }

    /// Counts down; the operation to fail at does `half` of its work when it is to be cut in the middle.
    fn step(&mut self, name: &'static str, half: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let no_power = || Err(io::Error::other("the power is off"));
        if self.left > 0 {
            self.left -= 1;
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.failed, true);
        match self.fault {
            Fault::Middle if first => half().and(no_power()),
            Fault::Before | Fault::Middle => no_power(),
            Fault::Error { errno, half: true, .. } if first => half().and(Err(errno.into())),
            Fault::Error { errno, lasting, .. } if first || lasting && name != "remove" => Err(errno.into()),
            Fault::Error { .. } => Ok(()),
        }
    }
}

impl Ops for Failing {
    fn make_dir(&mut self, path: &Path, temp: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        self.step("make_dir", || fs::create_dir(temp))?;
        AnyOwner::default().make_dir(path, temp, mode, owner)
    }

    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        self.step("write", || fs::write(path, &bytes[..bytes.len() / 2]))?;
        AnyOwner::default().write(path, bytes, mode, owner)
    }

    fn sync(&mut self, _: &Path) -> io::Result<()> {
        // Nothing here can tell whether it was done, and a busy machine takes its time over it.
        self.step("sync", || Ok(()))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", || Real.rename(from, to))?;
        Real.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.step("remove", || Real.remove(path))?;
        Real.remove(path)
    }

    fn set_hostname(&mut self, _: &str) -> io::Result<()> {
        self.step("set_hostname", || Ok(()))
    }

    fn zero(&mut self, device: &Path, offset: u64, len: u64) -> io::Result<()> {
        // The middle of what is written first is the worst case: a good header with nothing behind it.
        self.step("zero", || Real.zero(device, offset + len / 128, len / 2))?;
        Real.zero(device, offset, len)
    }

    fn discard(&mut self, _: &Path, _: u64) -> io::Result<()> {
        self.step("discard", || Ok(()))
    }
}

fn record(world: &World) -> Option<Record> {
    Record::read(&world.root()).unwrap()
}

/// Stops a boot at each operation in turn, boots again and compares. Answers how many operations there were.
fn every_point(fault: Fault, make: fn() -> World) -> usize {
    let good = make();
    assert!(!boot(&good, &mut AnyOwner::default()).failed);
    let tree = permanent(&good);
    for point in 0.. {
        let world = make();
        let wiped = world.is_wiped();
        let mut ops = Failing::after(point, fault);
        let first = boot(&world, &mut ops);
        let key = world.root().join("var/lib/kubelet/kubelet.key");
        let recorded = record(&world).is_some_and(|record| record.is_complete());
        assert!(recorded || world.is_wiped() == wiped, "{fault:?} at {point}: wiped before the record");
        assert!(!recorded || key.exists(), "{fault:?} at {point}: recorded before the key was there");
        let second = boot(&world, &mut Failing::after(usize::MAX, fault));
        assert!(!second.failed, "{fault:?} at {point}:\n{}\nthen\n{}", first.console, second.console);
        assert_eq!(permanent(&world), tree, "{fault:?} at {point}:\n{}", second.console);
        assert!(world.is_wiped(), "{fault:?} at {point}: the identity is still there");
        if !first.failed {
            return point;
        }
    }
    unreachable!("the loop ends when a boot was not stopped")
}

/// A node of a cluster whose addresses DHCP gives, with another address than at its last pass, and its neighbour too.
fn moved() -> (World, Fake) {
    let world = World::dhcp(support::NODE_0);
    assert!(!world.boot_with(&world.args(), &mut AnyOwner::default()).failed);
    let neighbours = world.resolved();
    let mut system = Fake { own: Some("10.0.2.16/24".parse().unwrap()), ..Fake::default() };
    neighbours.lock().unwrap().insert("server-1cp-2workers", [10, 0, 2, 15].into());
    assert!(!world.peers_with(&mut system, &mut AnyOwner::default()).failed);
    system.own = Some("10.0.2.30/24".parse().unwrap());
    neighbours.lock().unwrap().insert("server-1cp-2workers", [10, 0, 2, 31].into());
    (world, system)
}

#[test]
fn a_pass_that_stops_anywhere_is_made_good_by_the_next_one() {
    let errors = [Errno::ENOSPC, Errno::EIO].into_iter().flat_map(|errno| {
        let ways = [(false, false), (false, true), (true, true)];
        ways.map(|(half, lasting)| Fault::Error { errno, half, lasting })
    });
    for fault in [Fault::Before, Fault::Middle].into_iter().chain(errors) {
        let (good, mut system) = moved();
        let before = good.read("etc/hosts");
        assert!(!good.peers_with(&mut system, &mut AnyOwner::default()).failed);
        for point in 0.. {
            let (world, mut system) = moved();
            let first = world.peers_with(&mut system, &mut Failing::after(point, fault));
            let hosts = world.read("etc/hosts");
            assert!(hosts == before || hosts == good.read("etc/hosts"), "{fault:?} at {point}: {hosts}");
            if let (Fault::Error { errno, .. }, true) = (fault, first.failed) {
                let cause = io::Error::from(errno).to_string();
                assert!(first.console.contains(&format!("applying: {cause}")), "{}", first.console);
                let left = world.tree().into_keys().find(|path| path.contains("kiln-new"));
                assert_eq!(left, None, "{fault:?} at {point}: not cleaned up");
            }
            let second = world.peers_with(&mut system, &mut Failing::after(usize::MAX, fault));
            assert!(!second.failed, "{fault:?} at {point}:\n{}", second.console);
            assert_eq!(permanent(&world), permanent(&good), "{fault:?} at {point}");
            if !first.failed {
                assert!(point > 4, "the test does not reach the operations: {point}");
                break;
            }
        }
    }
}

#[test]
fn a_power_cut_before_any_operation_is_made_good_by_the_next_boot() {
    assert!(every_point(Fault::Before, World::node_0) > 30, "the test does not reach the operations");
    let more = every_point(Fault::Before, seeded);
    assert!(more > 50, "the test does not reach the seed's operations: {more}");
    assert!(every_point(Fault::Before, reseeded) > 10);
    assert!(every_point(Fault::Before, in_a_cloud) > 40);
}

#[test]
fn a_power_cut_in_the_middle_of_any_operation_is_made_good_by_the_next_boot() {
    for make in [World::node_0, seeded, reseeded, in_a_cloud] {
        every_point(Fault::Middle, make);
    }
}

/// Stops the boot of a machine that got the values `some` at each operation in turn, and boots it with `others`: there
/// has to be nothing of the first ones. A node may only be refused for the identity of the other one. Answers how many
/// boots were, and how many of them were not refused.
fn every_point_then(make: fn() -> World, some: fn(&World), others: fn(&World)) -> (usize, usize) {
    let good = make();
    others(&good);
    assert!(!boot(&good, &mut AnyOwner::default()).failed);
    let tree = own(&good);
    let (mut boots, mut accepted) = (0, 0);
    let error = Fault::Error { errno: Errno::EIO, half: false, lasting: false };
    for fault in [Fault::Before, error] {
        for point in 0.. {
            let world = make();
            some(&world);
            let first = boot(&world, &mut Failing::after(point, fault));
            if !first.failed {
                break;
            }
            boots += 1;
            let begun = record(&world);
            others(&world);
            let second = boot(&world, &mut Failing::after(usize::MAX, fault));
            let what = format!("{fault:?} at {point}:\n{}\nthen\n{}", first.console, second.console);
            if second.failed {
                assert!(second.console.contains("this disk was set up as node `node-1`"), "{what}");
                assert_eq!(begun.unwrap().node, "node-1", "{what}");
                continue;
            }
            accepted += 1;
            assert_eq!(own(&world), tree, "{what}");
        }
    }
    (boots, accepted)
}

#[test]
fn after_a_power_cut_the_next_boot_may_have_other_values() {
    let third: fn(&World) = |world| {
        let network = "version: 2\nethernets:\n  c: {match: {name: enp3s0}, dhcp4: true}\n";
        world.seed(&[("meta-data", "instance-id: three"), ("network-config", network)]);
    };
    let counts = [
        every_point_then(settled, full_seed, small_seed),
        every_point_then(settled, full_seed, third),
        every_point_then(World::node_0, full_seed, small_seed),
    ];
    for (boots, accepted) in counts {
        assert!(boots > 50 && boots == accepted, "{accepted} of {boots}");
    }
}

#[test]
fn after_a_power_cut_a_node_has_its_own_identity_or_none() {
    let other: fn(&World) = |world| {
        world.cmdline("kiln.node=node-1");
        world.disk("sr0", &iso("cidata", &[("kiln-identity.tar", &Identity::workers().stream())]));
    };
    let same: fn(&World) = |world| {
        world.cmdline("");
        small_seed(world);
    };
    let (boots, accepted) = every_point_then(settled, other, same);
    assert!(accepted > 10 && accepted < boots, "{accepted} of {boots}");

    // One stream has the identities of all nodes.
    let again: fn(&World) = |world| {
        world.cmdline("");
        world.disk("sr0", &iso("cidata", &[("kiln-identity.tar", &Identity::workers().stream())]));
    };
    let (boots, accepted) = every_point_then(settled, other, again);
    assert!(boots > 30 && boots == accepted, "{accepted} of {boots}");

    // A new machine still has its partition, until the record of the other node is there.
    let (boots, accepted) =
        every_point_then(World::node_0, |world| world.cmdline("kiln.node=node-1"), |world| world.cmdline(""));
    assert!(accepted > 30 && accepted < boots, "{accepted} of {boots}");
}
