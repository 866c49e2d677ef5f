//! How long a build takes, and the same work by hand with the same tools, one after the other on the same machine. It
//! prints a table; no time fails it. What each row means is in `docs/reference/speed.md`.
//!
//! It works in a folder of its own, beside which nothing is written. The store of `KILN_STORE` only gives the downloads
//! and what was compiled.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark looks at a clock and says so"
)]

#[path = "../support.rs"]
mod support;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use builder::deb::roots;
use builder::ground::arch::Arch;
use builder::ground::progress::Progress;
use builder::lockfile::Lock;
use builder::sandbox::Sandbox;
use builder::stage::base;
use builder::store::Store;
use fs_err as fs;
use support::{BUILDER, PROFILE, project, secret, text};
use walkdir::WalkDir;

/// Runs of what takes milliseconds; the middle one counts.
const RUNS: usize = 11;

fn main() {
    let Some(folder) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) else {
        // `cargo test --benches` and its like are no reason to take minutes.
        println!("usage: cargo bench --package builder --features e2e --bench builds -- FOLDER");
        return;
    };
    let folder = Path::new(&folder);
    fs::create_dir(folder).expect("FOLDER is made, and must not be there before");
    let folder = fs::canonicalize(folder).unwrap();
    let bench = Bench::new(&folder);

    let mut rows = Vec::new();
    let cold = bench.build(&folder.join("out"));
    rows.push(("cold: two images", cold, Some("by hand, cold: one disk")));
    rows.push(("warm: two images", bench.build(&folder.join("other")), None));
    let mut unchanged: Vec<_> = (0..RUNS).map(|_| bench.build(&folder.join("out"))).collect();
    unchanged.sort();
    rows.push(("unchanged", unchanged[RUNS / 2], None));
    let changed = "by hand, one file: one disk";
    bench.edit("images/controllers/units/kube-controller-manager.service.j2", "RestartSec=2", "RestartSec=3");
    rows.push(("one value of one role: one image", bench.build(&folder.join("out")), Some(changed)));
    bench.edit(
        "profiles/1cp-2workers.toml",
        "[network]",
        "[options]\nssh-keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f x\"]\n[network]",
    );
    rows.push(("one value of the profile: two images", bench.build(&folder.join("out")), Some(changed)));
    let (whole, change) = bench.by_hand();

    println!("\n| build | seconds | by hand | Kiln / by hand |\n|---|---|---|---|");
    for (name, took, peer) in rows {
        let hand = peer.map(|peer| if peer.contains("cold") { whole } else { change });
        let (hand, ratio) = match hand {
            Some(hand) => (seconds(hand), format!("{:.2}", took.as_secs_f64() / hand.as_secs_f64())),
            None => ("–".to_owned(), "–".to_owned()),
        };
        println!("| {name} | {} | {hand} | {ratio} |", seconds(took));
    }
    fs::remove_dir_all(folder).unwrap();
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

struct Bench {
    folder: PathBuf,
    project: PathBuf,
    store: PathBuf,
    secret: PathBuf,
}

impl Bench {
    /// A copy of the project, and a store with downloads and compiled sources only.
    fn new(folder: &Path) -> Self {
        let (copy, store) = (folder.join("project"), folder.join("store"));
        for part in ["images", "profiles", "recipes", "lockfile.toml"] {
            link(&project().join(part), &copy.join(part), false);
        }
        let known = support::store();
        link(&known.join("files"), &store.join("files"), true);
        for kind in ["steps", "records"] {
            for entry in fs::read_dir(known.join(kind)).unwrap() {
                let name = entry.unwrap().file_name();
                if name.to_string_lossy().starts_with("source-") {
                    link(&known.join(kind).join(&name), &store.join(kind).join(&name), true);
                }
            }
        }
        Self { folder: folder.to_owned(), project: copy, store, secret: secret(folder, 7) }
    }

    fn build(&self, out: &Path) -> Duration {
        let mut command = Command::new(BUILDER);
        command.args(["build", "--offline", "--profile", PROFILE, "--out", text(out)]);
        command.args(["--secret", text(&self.secret), "--project", text(&self.project)]);
        command.args(["--store", text(&self.store)]);
        let start = Instant::now();
        let output = command.output().unwrap();
        let took = start.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        println!("{} s: {}", seconds(took), said.lines().last().unwrap_or_default());
        took
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.project.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{file} has no `{from}`");
        fs::write(path, before.replacen(from, to, 1)).unwrap();
    }

    /// The same packages as a tar by mmdebstrap, a file system of it by mke2fs, an image of that by qemu-img: one disk,
    /// without Kubernetes, a boot loader or hashes. Answers the time of all, and without the first step, which is what
    /// another file in the tar costs.
    fn by_hand(&self) -> (Duration, Duration) {
        let lock = Lock::load(&self.project.join("lockfile.toml")).unwrap();
        let store = Store::open(&self.store).unwrap();
        let progress = Progress::new();
        let tools = roots::tools(&store, &lock, Arch::Amd64, &progress).unwrap();
        let own = self.folder.join("by-hand");
        // Kiln's own way to call mmdebstrap, in a store that has only the tools' root.
        link(&tools.path, &own.join("steps").join(tools.path.file_name().unwrap()), true);
        link(&self.store.join("files"), &own.join("files"), true);
        let store = Store::open(&own).unwrap();
        let start = Instant::now();
        let base =
            base::make(&self.project, &store, &base::Packages::base(&lock, Arch::Amd64), &tools, &progress)
                .unwrap();
        let installed = start.elapsed();
        let tools = Sandbox::new(&tools.path).lend(&own, "/kiln/out").show(&base.tar, "/kiln/base.tar");
        let start = Instant::now();
        let options = "lazy_itable_init=0,lazy_journal_init=0";
        let disk = "/kiln/out/disk";
        tools
            .run(["mke2fs", "-q", "-t", "ext4", "-E", options, "-d", "/kiln/base.tar", disk, "4000M"])
            .unwrap();
        let convert = ["qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd"];
        tools.run(convert.into_iter().chain([disk, "/kiln/out/disk.qcow2"])).unwrap();
        let made = start.elapsed();
        println!("by hand: mmdebstrap {} s, mke2fs and qemu-img {} s", seconds(installed), seconds(made));
        (installed + made, made)
    }
}

/// The same tree again: `hard` shares the files where that is possible, which is for what nothing writes to.
fn link(from: &Path, to: &Path, hard: bool) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    for entry in WalkDir::new(from) {
        let entry = entry.unwrap();
        let to = to.join(entry.path().strip_prefix(from).unwrap());
        let to = if entry.depth() == 0 { to.components().collect() } else { to };
        let one = || -> io::Result<()> {
            if entry.file_type().is_dir() {
                return fs::create_dir_all(&to);
            }
            if entry.path_is_symlink() {
                return fs_err::os::unix::fs::symlink(fs::read_link(entry.path())?, &to);
            }
            if !hard || fs::hard_link(entry.path(), &to).is_err() {
                fs::copy(entry.path(), &to)?;
            }
            Ok(())
        };
        one().unwrap();
    }
}
