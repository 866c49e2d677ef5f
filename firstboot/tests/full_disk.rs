//! Full and broken disks: every call of the real program that changes a file fails once with ENOSPC and once with EIO,
//! for a moment or for good, before it or after it, and in the middle of what it writes. firstboot has to say which
//! file and why, to leave only whole files, to keep the identity, and to reach the same machine on the next boot.
//!
//! The calls are told apart by the registers of this architecture; what they do is the same on every one.
use std::collections::BTreeMap;

use crate::support::machines::{in_a_cloud, permanent, reseeded, seeded};
use crate::support::trace::{self, Call, Ended, Verdict};
use crate::support::{World, is_long};
use firstboot::record::{RECORD_FILE, Record, State};
use nix::errno::Errno;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It is not made; the next one is.
    Once,
    /// It is not made, nor is anything that needs the disk after it.
    Lasting,
    /// It is made, and the disk says that it was not; the next one is as ever.
    After,
    /// Half of the bytes are written, and nothing more from then on.
    Short,
}

/// The likeliest of each error first.
const FAULTS: [(Errno, How); 7] = [
    (Errno::ENOSPC, How::Lasting),
    (Errno::ENOSPC, How::Short),
    (Errno::EIO, How::Once),
    (Errno::EIO, How::After),
    (Errno::EIO, How::Lasting),
    (Errno::EIO, How::Short),
    (Errno::ENOSPC, How::Once),
];

/// So many of them, and all in the long tier.
fn faults(usual: usize) -> &'static [(Errno, How)] {
    if is_long() { &FAULTS } else { &FAULTS[..usual] }
}

/// A call that fails, and what is seen on the way there.
struct Fault {
    errno: Errno,
    how: How,
    /// The number of the call.
    point: usize,
    calls: Vec<Call>,
}

impl Fault {
    fn at(point: usize, (errno, how): (Errno, How)) -> Self {
        Self { errno, how, point, calls: Vec::new() }
    }

    fn none() -> Self {
        Self::at(usize::MAX, FAULTS[0])
    }

    fn judge(&mut self, call: &Call) -> Verdict {
        let number = self.calls.len();
        self.calls.push(call.clone());
        if number < self.point {
            return usual(call);
        }
        match self.how {
            How::Short if number == self.point => Verdict::Half,
            How::After if number == self.point && usual(call) == Verdict::Go => {
                Verdict::FailAfter(self.errno)
            }
            _ if number == self.point => Verdict::Fail(self.errno),
            How::Once | How::After => usual(call),
            // What needs no room is done on a full disk, too.
            How::Lasting | How::Short if self.errno == Errno::EIO || needs_room(call) => {
                Verdict::Fail(self.errno)
            }
            How::Lasting | How::Short => usual(call),
        }
    }

    /// A boot: the run before the network, and the one after it when that is asked for.
    fn boot(&mut self, world: &World) -> Ended {
        let _ = fs_err::remove_dir_all(world.root().join("run"));
        let first = self.run(world, false);
        if first.code != 0 || !world.root().join("run/kiln/metadata").exists() {
            return first;
        }
        self.run(world, true)
    }

    fn run(&mut self, world: &World, metadata: bool) -> Ended {
        let args = if metadata { world.metadata_args() } else { world.args() };
        let mut command = vec![env!("CARGO_BIN_EXE_firstboot").to_owned()];
        for (name, path) in [("root", &args.root), ("cmdline", &args.cmdline), ("sys", &args.sys)] {
            command.push(format!("--{name}={}", path.display()));
        }
        command.push(format!("--dev={}", args.dev.display()));
        command.push(format!("--identity={}", args.identity.unwrap().display()));
        if metadata {
            let (wait, server) = (args.wait.as_secs(), args.metadata_server);
            command.push("--metadata".to_owned());
            command.extend([format!("--wait={wait}"), format!("--metadata-server={server}")]);
        }
        trace::run(&command, &world.path(""), |call| self.judge(call)).unwrap()
    }
}

/// What becomes of calls that do not fail. Who runs the tests may not give files away, and nothing here can tell
/// whether a file was made durable, over which a busy machine takes its time.
fn usual(call: &Call) -> Verdict {
    match call.name {
        "chown" | "fchown" | "fchownat" | "fsync" | "fdatasync" | "syncfs" => Verdict::Skip,
        _ => Verdict::Go,
    }
}

fn needs_room(call: &Call) -> bool {
    !matches!(call.name, "unlink" | "unlinkat" | "rmdir" | "chmod" | "fchmod" | "fchmodat" | "fallocate")
}

/// Lets every call of a boot fail in each of these ways. Answers how many boots that were.
fn every_call(make: fn() -> World, faults: &[(Errno, How)]) -> usize {
    let good = make();
    let mut calm = Fault::none();
    let ended = calm.boot(&good);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let tree = permanent(&good);
    let mut boots = 0;
    for (point, call) in calm.calls.iter().enumerate() {
        for fault in faults {
            // Half of nothing, or of something that is no bytes, is no fault of its own.
            if fault.1 != How::Short || call.bytes.is_some_and(|bytes| bytes > 1) {
                one_fault(make(), Fault::at(point, *fault), &tree);
                boots += 1;
            }
        }
    }
    boots
}

fn one_fault(world: World, mut fault: Fault, good: &BTreeMap<String, (u32, Vec<u8>)>) {
    let (before, identity) = (permanent(&world), world.partition());
    let record = Record::read(&world.root()).unwrap().map(|record| record.plan);
    let ended = fault.boot(&world);
    let call = fault.calls.get(fault.point).expect("the same calls in every boot").clone();
    let what =
        format!("{} of `{}`, {} {:?}:\n{}", call.name, call.path, fault.errno, fault.how, ended.stderr);

    // The zeros are what counts, and not every device can give space back; what comes after it may fail.
    let harmless = call.name == "fallocate";
    if harmless && matches!(fault.how, How::Once | How::After) {
        assert_eq!(ended.code, 0, "{what}");
    } else {
        assert_eq!(ended.code, 2, "{what}");
        let error = ended.stderr.lines().find(|line| line.starts_with("firstboot: applying: "));
        let error = error.unwrap_or_else(|| panic!("no error: {what}"));
        assert!(harmless || error.contains(&call.path), "the file is not named: {what}");
        // nix and the C library each have their words for it.
        let cause = std::io::Error::from(fault.errno).to_string();
        let named = error.contains(&cause) || error.contains(fault.errno.desc());
        assert!(named, "the cause is not named: {what}");
    }

    let left = permanent(&world);
    for (path, found) in &left {
        let temporary = path.contains(".kiln-new");
        let whole = before.get(path) == Some(found) || good.get(path) == Some(found);
        let folder = world.root().join(&path[1..]).is_dir();
        // A disk that is gone keeps what is on it.
        let kept = fault.errno == Errno::EIO && matches!(fault.how, How::Lasting | How::Short);
        let is_record = path[1..] == *RECORD_FILE;
        assert!(whole || is_record || temporary && (folder || kept), "{path} is left by {what}");
    }
    let recorded = Record::read(&world.root()).unwrap();
    if world.partition() != identity {
        let key = "/var/lib/kubelet/kubelet.key";
        assert_eq!(left.get(key), good.get(key), "wiped without the key: {what}");
        let state = recorded.as_ref().map(|record| record.identity.state);
        assert!(matches!(state, Some(State::Wiping | State::Wiped)), "wiped without a record: {what}");
    }
    if recorded.is_some_and(|now| now.is_complete() && Some(now.plan) != record) {
        let mut files = good.iter().filter(|(path, _)| path[1..] != *RECORD_FILE);
        assert!(files.all(|(path, file)| left.get(path) == Some(file)), "recorded too early: {what}");
    }

    let second = Fault::none().boot(&world);
    assert_eq!(second.code, 0, "{what}\nthen\n{}", second.stderr);
    assert_eq!(permanent(&world), *good, "{what}\nthen\n{}", second.stderr);
    assert!(world.is_wiped(), "the identity is still there: {what}");
}

#[expect(clippy::print_stderr, reason = "the number is a result; the harness shows it when asked")]
fn report(machine: &str, boots: usize) {
    eprintln!("{machine}: {boots} boots with a fault, every one made good");
}

#[test]
fn a_new_node_survives_a_fault_at_any_call() {
    let boots = every_call(World::node_0, faults(3));
    report("a new node", boots);
    assert!(boots > 200, "the test does not reach the calls: {boots}");
}

#[test]
fn a_node_with_a_seed_survives_a_fault_at_any_call() {
    report("a seed", every_call(seeded, faults(1)));
}

#[test]
fn a_node_with_another_seed_survives_a_fault_at_any_call() {
    report("another seed", every_call(reseeded, faults(1)));
}

#[test]
fn a_node_in_a_cloud_survives_a_fault_at_any_call() {
    report("in a cloud", every_call(in_a_cloud, faults(1)));
}
