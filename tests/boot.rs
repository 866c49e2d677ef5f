//! Real machines: an image of each role boots, becomes its node, stays it, and shares nothing with its clones.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{End, PROFILE, build, builder, debugfs, fresh, run, secret, text, tools};
use builder::disk;
use builder::results::cluster::{ClusterJson, NodeJson};
use builder::sandbox::Sandbox;
use fs_err as fs;

/// Files that one node keeps through its life.
const KEPT: [&str; 6] = [
    "/etc/machine-id",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/hostname",
    "/etc/kiln/node.env",
    "/var/lib/kiln/firstboot.json",
    "/var/lib/kubelet/kubelet.key",
];

/// What clones must not share, besides [`SEED`]; the rest of /etc they do.
const OWN: [&str; 3] =
    ["/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"];

/// What the kernel's random numbers begin with at the next boot (systemd-random-seed.service(8)).
const SEED: &str = "/var/lib/systemd/random-seed";

#[test]
#[expect(clippy::disallowed_methods, reason = "the host's cp, as a person copies results")]
fn machines_boot_and_become_their_nodes() {
    let (ours, clone) = (fresh("boot"), fresh("boot-clone"));
    build(&ours);
    run(std::process::Command::new("cp").args(["-r", text(&ours.join(PROFILE)), text(&clone)]));
    let _ends = (End(PROFILE, &ours), End(PROFILE, &clone));
    let machines = Machines { tools: tools() };
    let cluster = ClusterJson::load(&ours.join(PROFILE)).unwrap();
    let node = |name: &str| cluster.nodes.iter().find(|node| node.name == name).unwrap();

    // Two cores: two machines at once.
    let (first, second) = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            machines.boot(&clone, "server", "bios");
            expect_record(&clone, node("server"));
            machines.halt(&clone);
            machines.boot(&clone, "node-0", "uefi");
            expect_record(&clone, node("node-0"));
            machines.halt(&clone);
        });
        machines.boot(&ours, "node-0", "bios");
        expect_record(&ours, node("node-0"));
        machines.halt(&ours);
        let first = machines.files(&ours, "node-0");
        machines.expect_wiped(&ours, "node-0");

        machines.boot(&ours, "node-0", "bios");
        let console = builder(&["logs", "--profile", PROFILE, "--out", text(&ours), "node-0"]);
        assert!(console.contains("firstboot: node-0 is up to date"), "{console}");
        machines.halt(&ours);
        let second = machines.files(&ours, "node-0");
        others.join().unwrap();
        (first, second)
    });
    assert!(first.iter().all(|content| !content.is_empty()), "a file of {KEPT:?} is missing or empty");
    for (path, (before, after)) in KEPT.iter().zip(first.iter().zip(&second)) {
        assert!(before == after, "the second boot changed {path}");
    }

    let cloned = machines.files(&clone, "node-0");
    for (path, (ours, clones)) in KEPT.iter().zip(first.iter().zip(&cloned)) {
        let recorded = path.ends_with("firstboot.json");
        assert!(recorded || (ours != clones) == OWN.contains(path), "clones and {path}");
    }
    let seeds = [&ours, &clone].map(|out| machines.seed(out, "node-0"));
    assert!(seeds.iter().all(|seed| seed.len() >= 32), "{SEED} is missing or short");
    assert!(seeds[0] != seeds[1], "clones and {SEED}");
    let [mut etc, mut clones] = [&ours, &clone].map(|out| machines.etc(out, "node-0"));
    for path in OWN {
        let (ours, clones) = (etc.remove(path), clones.remove(path));
        assert!(ours.is_some() && clones.is_some() && ours != clones, "clones and {path}");
    }
    let paths: BTreeSet<&String> = etc.keys().chain(clones.keys()).collect();
    let differ: Vec<_> = paths.into_iter().filter(|path| etc.get(*path) != clones.get(*path)).collect();
    assert!(etc.len() > 100 && differ.is_empty(), "clones differ in {differ:?} of {} things", etc.len());
}

/// The default tier has it in libvirt.
#[test]
#[ignore = "the long tier: `./test long`"]
fn a_machine_becomes_its_node_by_its_seed() {
    let out = fresh("boot-seed");
    let secret = secret(&out, 7);
    let seed = ["--identity", "seed", "--secret", text(&secret), "--out", text(&out)];
    builder(&[&["build", "--profile", PROFILE], &seed[..]].concat());
    let _ends = End(PROFILE, &out);
    let machines = Machines { tools: tools() };
    let cluster = ClusterJson::load(&out.join(PROFILE)).unwrap();
    let node = cluster.nodes.iter().find(|node| node.name == "node-1").unwrap();
    machines.boot(&out, "node-1", "bios");
    expect_record(&out, node);
    let console = builder(&["logs", "--profile", PROFILE, "--out", text(&out), "node-1"]);
    assert!(console.contains("files (NoCloud, kiln-identity.tar)"), "{console}");
    machines.halt(&out);
    assert!(machines.files(&out, "node-1").iter().all(|content| !content.is_empty()));
}

/// firstboot's record on the console has every planned value.
fn expect_record(out: &Path, node: &NodeJson) {
    let name = &node.name;
    let console = builder(&["logs", "--profile", PROFILE, "--out", text(out), name]);
    for line in [
        format!("firstboot: {name}: hostname {name} "),
        format!("firstboot: {name}: address {}/24 ", node.address()),
        format!("firstboot: {name}: pod-cidr {} ", node.pod_cidr.unwrap()),
        format!("firstboot: {name}: identity "),
        format!("firstboot: {name}: applied "),
        format!("{name} login:"),
    ] {
        assert!(console.contains(&line), "no `{line}` on the console:\n{console}");
    }
}

/// The machines of folders of results.
struct Machines {
    tools: Sandbox,
}

impl Machines {
    fn boot(&self, out: &Path, node: &str, firmware: &str) {
        let results = ["--profile", PROFILE, "--out", text(out), "--node", node];
        builder(
            &[&["up", "--firmware", firmware, "--wait", "login", "--timeout", "900"], &results[..]].concat(),
        );
    }

    fn halt(&self, out: &Path) {
        builder(&["down", "--profile", PROFILE, "--out", text(out)]);
        let status = builder(&["status", "--profile", PROFILE, "--out", text(out), "--json"]);
        assert!(!status.contains(r#""running""#), "{status}");
    }

    /// The node's disk as a raw file, for as long as `read` looks at it.
    fn with_disk<T>(&self, out: &Path, node: &str, read: impl FnOnce(&Path) -> T) -> T {
        let folder: PathBuf = tempfile::tempdir_in(out).unwrap().keep();
        // The overlay names its image by the path at which QEMU's sandbox saw it.
        let tools = self.tools.clone().show(&out.join(PROFILE), "/kiln/cluster").lend(&folder, "/kiln/work");
        let disk = format!("/kiln/cluster/run/{node}/disk.qcow2");
        tools.run(["qemu-img", "convert", "-O", "raw", &disk, "/kiln/work/disk.raw"]).unwrap();
        let result = read(&folder.join("disk.raw"));
        fs::remove_dir_all(folder).unwrap();
        result
    }

    fn files(&self, out: &Path, node: &str) -> Vec<Vec<u8>> {
        self.with_disk(out, node, |raw| {
            KEPT.map(|path| debugfs(&self.tools, raw, &format!("cat {path}"))).to_vec()
        })
    }

    fn seed(&self, out: &Path, node: &str) -> Vec<u8> {
        self.with_disk(out, node, |raw| debugfs(&self.tools, raw, &format!("cat {SEED}")))
    }

    /// Everything in /etc: mode and content, or where a link leads.
    fn etc(&self, out: &Path, node: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
        let to = tempfile::tempdir_in(out).unwrap();
        self.with_disk(out, node, |raw| {
            let tools = self.tools.clone().lend(to.path(), "/kiln/etc");
            debugfs(&tools, raw, "rdump /etc /kiln/etc");
        });
        let mut etc = BTreeMap::new();
        for entry in walkdir::WalkDir::new(to.path()).min_depth(1) {
            let entry = entry.unwrap();
            let path = entry.path();
            let content = if entry.path_is_symlink() {
                fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
            } else if path.is_file() {
                fs::read(path).unwrap()
            } else {
                Vec::new()
            };
            let mode = entry.metadata().unwrap().permissions().mode();
            let name = path.strip_prefix(to.path()).unwrap().display();
            etc.insert(format!("/{name}"), (mode, content));
        }
        etc
    }

    /// Nothing of the identities is left in the node's own disk.
    fn expect_wiped(&self, out: &Path, node: &str) {
        self.with_disk(out, node, |raw| {
            use std::os::unix::fs::FileExt;
            let file = std::fs::File::open(raw).unwrap();
            let partition = disk::layout::identity(&mut &file).unwrap().range;
            let mut bytes = vec![1; usize::try_from(partition.end - partition.start).unwrap()];
            file.read_exact_at(&mut bytes, partition.start).unwrap();
            assert!(bytes.iter().all(|byte| *byte == 0), "the identity partition of {node} is not wiped");
        });
    }
}
