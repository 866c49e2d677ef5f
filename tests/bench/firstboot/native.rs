//! The program on this machine itself, with a node of an image made of files: how long it takes where no processor is
//! emulated. The identity is a file, and there is no other disk to look at.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use builder::disk;
use builder::results::cluster::{ClusterJson, NodeJson};
use builder::sandbox::Sandbox;
use fs_err as fs;
use nix::unistd::Uid;

use crate::support::{debugfs, raw, run, text, tools};

/// Boots; the middle one counts.
const RUNS: usize = 11;

/// What it says that a first boot takes, and how long the whole program takes at a boot with nothing new. None for who may
/// not give files to root.
pub fn measure(results: &Path, node: &str, program: &[u8], folder: &Path) -> Option<[Duration; 2]> {
    if !Uid::effective().is_root() {
        return None;
    }
    let folder = folder.join("native");
    fs::create_dir(&folder).unwrap();
    let cluster = ClusterJson::load(results).unwrap();
    let node = cluster.nodes.iter().find(|known| known.name == node).unwrap();
    let tools = tools();
    let raw = raw(&tools, &results.join(&node.image), &folder);
    let firstboot = folder.join("firstboot");
    fs::write(&firstboot, program).unwrap();
    fs::set_permissions(&firstboot, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut first = Vec::new();
    let mut second = Vec::new();
    for number in 0..RUNS {
        let machine = make(&tools, &raw, node, &folder.join(number.to_string()));
        let said = boot(&firstboot, &machine).1;
        let millis = said.split(" in ").nth(1).and_then(|rest| rest.split(" ms").next()).expect("it says so");
        first.push(Duration::from_millis(millis.parse().unwrap()));
        let (took, said) = boot(&firstboot, &machine);
        assert!(said.contains("is up to date"), "{said}");
        second.push(took);
    }
    fs::remove_file(raw).unwrap();
    Some([first, second].map(|mut times| {
        times.sort();
        times[RUNS / 2]
    }))
}

/// What firstboot reads of the image and of the machine.
fn make(tools: &Sandbox, raw: &Path, node: &NodeJson, machine: &Path) -> PathBuf {
    let kiln = machine.join("root/usr/lib/kiln");
    fs::create_dir_all(&kiln).unwrap();
    for file in ["role", "cluster.json"] {
        fs::write(kiln.join(file), debugfs(tools, raw, &format!("cat /usr/lib/kiln/{file}"))).unwrap();
    }
    debugfs(&tools.clone().lend(&kiln, "/kiln/to"), raw, "rdump /usr/lib/kiln/node /kiln/to");
    fs::create_dir_all(machine.join("root/etc")).unwrap();
    fs_err::os::unix::fs::symlink("../run/stub", machine.join("root/etc/resolv.conf")).unwrap();
    let disk = std::fs::File::open(raw).unwrap();
    let range = disk::layout::identity(&mut &disk).unwrap().range;
    let mut identity = vec![0; usize::try_from(range.end - range.start).unwrap()];
    disk.read_exact_at(&mut identity, range.start).unwrap();
    fs::write(machine.join("identity"), identity).unwrap();
    let card = machine.join("sys/class/net/eth0");
    fs::create_dir_all(card.join("device")).unwrap();
    fs::write(card.join("address"), format!("{}\n", node.mac)).unwrap();
    fs::write(card.join("type"), "1\n").unwrap();
    fs::write(machine.join("cmdline"), "quiet\n").unwrap();
    machine.to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark runs a program and looks at a clock")]
fn boot(firstboot: &Path, machine: &Path) -> (Duration, String) {
    let path = |name: &str| machine.join(name).to_string_lossy().into_owned();
    let mut command = std::process::Command::new(text(firstboot));
    command.args(["--root", &path("root"), "--cmdline", &path("cmdline"), "--sys", &path("sys")]);
    command.args(["--dev", &path("dev"), "--identity", &path("identity")]);
    // It makes a whole file system durable: what others wrote to it shall not count.
    nix::unistd::sync();
    let start = Instant::now();
    let said = run(&mut command).stderr;
    (start.elapsed(), said)
}
