//! Power cuts with a page cache: what was not made durable may be lost, be there in part, or be there without what came
//! before it. firstboot has to reach the same machine on the next boot; and without any one of its syncs it would not, so
//! none is there for nothing.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::machines::{Tree, boot, full_seed, in_a_cloud, own, reseeded, seeded, small_seed};
use crate::support::{AnyOwner, World, is_long};
use firstboot::image::Owner;
use firstboot::ops::{Ops, Real};
use firstboot::record::Record;
use fs_err as fs;

/// What of the page cache reaches the disk when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing.
    Lost,
    /// Everything but the bytes of files, as a file system with delayed allocation has it.
    Empty,
    /// Everything, with half of the bytes.
    Torn,
    /// Every other step.
    Odd,
    /// The steps between those.
    Even,
    /// The newest step alone.
    Newest,
    /// Everything but the newest.
    Older,
}

/// The likeliest first.
const WAYS: [Way; 7] = [Way::Lost, Way::Empty, Way::Newest, Way::Torn, Way::Odd, Way::Even, Way::Older];

/// All of them in the long tier.
fn ways() -> &'static [Way] {
    if is_long() { &WAYS } else { &WAYS[..3] }
}

/// A change that is not durable yet.
#[derive(Debug, Clone)]
enum Step {
    MakeDir { path: PathBuf, temp: PathBuf, mode: u32 },
    Write { path: PathBuf, bytes: Vec<u8>, mode: u32 },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    Zero { device: PathBuf, offset: u64, len: u64 },
}

impl Step {
    /// Makes it; what it needs may be lost.
    fn make(&self, way: Way) {
        let part = |len: usize| match way {
            Way::Empty => 0,
            Way::Torn => len / 2,
            _ => len,
        };
        let (mut ops, nobody) = (AnyOwner::default(), Owner { uid: 0, gid: 0 });
        let _ = match self {
            Self::MakeDir { path, temp, mode } => ops.make_dir(path, temp, *mode, nobody),
            Self::Write { path, bytes, mode } => ops.write(path, &bytes[..part(bytes.len())], *mode, nobody),
            Self::Rename { from, to } => ops.rename(from, to),
            Self::Remove { path } => ops.remove(path),
            Self::Zero { device, offset, len } => ops.zero(device, *offset, part(*len as usize) as u64),
        };
    }

    fn is_of_the_device(&self) -> bool {
        matches!(self, Self::Zero { .. })
    }
}

/// The operations with a page cache, until the power goes.
struct PageCache<'a> {
    world: &'a World,
    way: Way,
    /// How many steps and syncs are made.
    left: usize,
    /// The sync that does nothing.
    omitted: Option<usize>,
    syncs: usize,
    /// What is on the disk.
    durable: Tree,
    /// What is on the identity partition, where that is not what is read of it.
    partition: Option<Vec<u8>>,
    cached: Vec<Step>,
    is_off: bool,
}

impl<'a> PageCache<'a> {
    fn new(world: &'a World, way: Way, left: usize, omitted: Option<usize>) -> Self {
        let (durable, cached) = (world.tree(), Vec::new());
        Self { world, way, left, omitted, syncs: 0, durable, partition: None, cached, is_off: false }
    }

    /// Counts down, and lets the power go.
    fn step(&mut self) -> io::Result<()> {
        if self.left == 0 && !self.is_off {
            self.cut();
        }
        self.left = self.left.saturating_sub(1);
        if self.is_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn cut(&mut self) {
        self.is_off = true;
        let root = self.world.root();
        let newest = self.cached.len().saturating_sub(1);
        fs::remove_dir_all(&root).unwrap();
        fs::create_dir(&root).unwrap();
        for (path, (mode, bytes)) in &self.durable {
            let path = root.join(path.trim_start_matches('/'));
            if mode & 0o170_000 == 0o040_000 { fs::create_dir(&path) } else { fs::write(&path, bytes) }
                .unwrap();
            fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o7777)).unwrap();
        }
        if let Some(bytes) = &self.partition {
            fs::write(self.world.path("identity"), bytes).unwrap();
        }
        for (index, step) in self.cached.iter().enumerate() {
            let is_kept = match self.way {
                Way::Lost => false,
                Way::Empty | Way::Torn => true,
                Way::Odd => index % 2 == 1,
                Way::Even => index % 2 == 0,
                Way::Newest => index == newest,
                Way::Older => index != newest,
            };
            if is_kept {
                step.make(self.way);
            }
        }
    }

    fn add(&mut self, step: Step) -> io::Result<()> {
        self.step()?;
        self.cached.push(step);
        Ok(())
    }

    /// Whether this sync is one that works.
    fn works(&mut self) -> io::Result<bool> {
        self.step()?;
        self.syncs += 1;
        Ok(self.omitted != Some(self.syncs - 1))
    }
}

impl Ops for PageCache<'_> {
    fn make_dir(&mut self, path: &Path, temp: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        self.add(Step::MakeDir { path: path.to_owned(), temp: temp.to_owned(), mode })?;
        AnyOwner::default().make_dir(path, temp, mode, owner)
    }

    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        self.add(Step::Write { path: path.to_owned(), bytes: bytes.to_vec(), mode })?;
        AnyOwner::default().write(path, bytes, mode, owner)
    }

    fn sync(&mut self, _: &Path) -> io::Result<()> {
        if self.works()? {
            self.durable = self.world.tree();
            self.cached.retain(Step::is_of_the_device);
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.add(Step::Rename { from: from.to_owned(), to: to.to_owned() })?;
        Real.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.add(Step::Remove { path: path.to_owned() })?;
        Real.remove(path)
    }

    fn set_hostname(&mut self, _: &str) -> io::Result<()> {
        self.step()
    }

    fn zero(&mut self, device: &Path, offset: u64, len: u64) -> io::Result<()> {
        self.add(Step::Zero { device: device.to_owned(), offset, len })?;
        self.partition.get_or_insert_with(|| self.world.partition());
        Real.zero(device, offset, len)
    }

    fn discard(&mut self, _: &Path, _: u64) -> io::Result<()> {
        if self.works()? {
            self.partition = None;
            self.cached.retain(|step| !step.is_of_the_device());
        }
        Ok(())
    }
}

/// A machine, and the seed that it finds at the boot after the cut when that is another one.
type Case = (&'static str, fn() -> World, fn(&World));

/// The same as before.
fn nothing(_: &World) {}

/// Cuts a boot's power at every step and when it is through, and boots again. Answers how many boots and syncs there
/// were.
fn every_cut((_, make, then): Case, ways: &[Way], omitted: Option<usize>) -> Result<(usize, usize), String> {
    let good = make();
    then(&good);
    assert!(!boot(&good, &mut AnyOwner::default()).failed);
    let tree = own(&good);
    let (mut boots, mut syncs) = (0, 0);
    for way in ways.iter().copied() {
        for point in 0.. {
            let world = make();
            let was_wiped = world.is_wiped();
            let mut cache = PageCache::new(&world, way, point, omitted);
            let first = boot(&world, &mut cache);
            syncs = syncs.max(cache.syncs);
            if !cache.is_off {
                cache.cut();
            }
            boots += 1;
            let what = format!("{way:?} at {point}:\n{}", first.console);
            let record = Record::read(&world.root()).map_err(|error| format!("{what}\n{error}"))?;
            let is_recorded = record.is_some_and(|record| record.is_complete());
            let is_wiped = world.is_wiped();
            if !is_recorded && is_wiped != was_wiped {
                return Err(format!("wiped before the record, {what}"));
            }
            if is_recorded && !world.root().join("var/lib/kubelet/kubelet.key").exists() {
                return Err(format!("recorded before the key was there, {what}"));
            }
            if !first.failed && !is_wiped {
                return Err(format!("it was through, and the identity is still there, {what}"));
            }
            then(&world);
            let second = boot(&world, &mut AnyOwner::default());
            let what = format!("{what}\nthen\n{}", second.console);
            if second.failed {
                return Err(what);
            }
            if own(&world) != tree {
                return Err(format!("another machine, {what}"));
            }
            if !world.is_wiped() {
                return Err(format!("the identity is still there, {what}"));
            }
            if !first.failed {
                break;
            }
        }
    }
    Ok((boots, syncs))
}

/// Machines that are the same at the next boot, and ones that get other values before it.
const CASES: [Case; 6] = [
    ("a new node", World::node_0, nothing),
    ("a node with a seed", seeded, nothing),
    ("a node with another seed", reseeded, nothing),
    ("a node in a cloud", in_a_cloud, nothing),
    ("a new node, then a seed", seeded, small_seed),
    ("a node with another seed, then a third", reseeded, full_seed),
];

#[test]
#[expect(clippy::print_stderr, reason = "the number is a result; the harness shows it when asked")]
fn whatever_of_the_page_cache_is_lost_the_next_boot_makes_it_good() {
    for case in CASES {
        let (boots, syncs) =
            every_cut(case, ways(), None).unwrap_or_else(|error| panic!("{}: {error}", case.0));
        eprintln!("{}: {boots} cuts, {syncs} syncs", case.0);
        assert!(boots > 40 && syncs > 2, "the test does not reach the steps of {}: {boots}, {syncs}", case.0);
    }
}

/// Of a boot the n-th sync is the same one for all cases of a machine.
#[test]
#[ignore = "a minute: `./test long`"]
fn without_any_one_of_its_syncs_a_machine_would_be_lost() {
    let cases =
        |machine: fn() -> World| CASES.into_iter().filter(move |case| std::ptr::fn_addr_eq(case.1, machine));
    let mut idle = Vec::new();
    for (name, machine) in [("a seed", seeded as fn() -> World), ("another seed", reseeded)] {
        let (_, syncs) = every_cut(cases(machine).next().unwrap(), &WAYS, None).unwrap();
        for sync in 0..syncs {
            if cases(machine).all(|case| every_cut(case, &WAYS, Some(sync)).is_ok()) {
                idle.push(format!("{name}, sync {sync} of {syncs}"));
            }
        }
    }
    // The partition was wiped at an earlier boot. This one is for a firstboot that was killed before it, with its zeros in the page
    // cache: it looks the same, and is not what the disk has.
    assert_eq!(idle, ["another seed, sync 3 of 4"]);
}
