//! Real builds by several builders at once, by builders that are killed, and without room, on stores that begin empty:
//! the compiled Kubernetes comes by `builder store pull` from the tests' own store, everything else is made anew.

#![expect(clippy::disallowed_methods, reason = "builders at once, and some that are killed")]

#[path = "../builder/tests/store/slow.rs"]
mod slow;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{self, BUILDER, PROFILE, fresh, project, secret, text};
use builder::ground::repro::sha256_hex;
use builder::lockfile::Lock;
use builder::results::cluster::ClusterJson;
use fs_err as fs;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Milliseconds within which a builder is killed: the longest stage but compiling takes half of it.
const LONGEST: u64 = 40_000;

/// A store that begins empty, in a folder of its own.
struct Lab {
    folder: PathBuf,
}

impl Lab {
    fn new(name: &str) -> Self {
        Self { folder: fresh(name) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Shares what the tests' own store has; `downloads` or only what was compiled.
    fn place(&self, downloads: bool) -> String {
        let place = self.path("place");
        fs::create_dir(&place).unwrap();
        let url = format!("file://{}", place.display());
        support::store();
        support::builder(&["store", "push", &url, "--profile", PROFILE]);
        if !downloads {
            fs::remove_dir_all(place.join("files")).unwrap();
        }
        assert!(place.join("steps").exists(), "the compiled Kubernetes is in the tests' store");
        url
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BUILDER);
        command.current_dir(project()).args(args).args(["--store", text(&self.path("store"))]);
        command
    }

    fn pull(&self, url: &str) {
        support::run(&mut self.command(&["store", "pull", url, "--profile", PROFILE, "--offline"]));
    }

    /// A build with the tests' secret into a folder.
    fn build(&self, out: &str, args: &[&str]) -> Command {
        let out = self.path(out);
        fs::create_dir_all(&out).unwrap();
        let secret = secret(&out, 7);
        let mut command =
            self.command(&["build", "--profile", PROFILE, "--out", text(&out), "--secret", text(&secret)]);
        command.args(args);
        command
    }

    fn start(&self, out: &str, args: &[&str]) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.build(out, args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.into_parts().0).spawn().unwrap()
    }

    /// SHA-256 of whole images by role, whose content is the expected one.
    fn hashes(&self, out: &str) -> BTreeMap<String, String> {
        let cluster = ClusterJson::load(&self.path(out).join(PROFILE)).unwrap();
        let content = cluster.images.iter().map(|image| (image.role.clone(), image.content_sha256.clone()));
        support::on_record().check(&content.collect()).unwrap();
        cluster.images.into_iter().map(|image| (image.role, image.sha256.to_string())).collect()
    }

    fn is_clean(&self) {
        support::run(&mut self.command(&["store", "verify"]));
        let left: Vec<_> =
            fs::read_dir(self.path("store/tmp")).unwrap().map(|left| left.unwrap().path()).collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "unfinished");
    }

    fn remove(self) {
        fs::remove_dir_all(self.folder).unwrap();
    }
}

/// The archive's files that the lock names and the tests' store has, as links in a folder.
fn archive(folder: &Path) {
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    let debs = lock.deb.values().flatten().map(|deb| (&deb.file, &deb.sha256));
    let sources =
        lock.source.values().flat_map(|source| &source.files).map(|file| (&file.file, &file.sha256));
    for (name, sha256) in debs.chain(sources) {
        let (file, link) = (support::store().join("files").join(sha256.as_str()), folder.join(name));
        if file.exists() && !link.exists() {
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(fs::canonicalize(file).unwrap(), link).unwrap();
        }
    }
}

#[test]
#[ignore = "minutes: `./test long` runs it"]
fn two_builders_on_an_empty_store_download_each_input_once_and_make_the_same_images() {
    let lab = Lab::new("two-builders");
    lab.pull(&lab.place(false));
    archive(&lab.path("debian"));
    let (mirror, asked) = slow::serve(&lab.path("debian"), Duration::ZERO);
    let mut both = ["one", "other"].map(|out| lab.start(out, &["--debian-mirror", &mirror]));
    for child in &mut both {
        assert!(child.wait().unwrap().success(), "{}", fs::read_to_string(lab.path("log")).unwrap());
    }
    assert_eq!(lab.hashes("one"), lab.hashes("other"));
    lab.is_clean();
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    let downloads = asked.len();
    asked.dedup();
    assert_eq!(asked.len(), downloads, "something was downloaded twice");
    assert_eq!(fs::read_dir(lab.path("store/files")).unwrap().count(), downloads);
    lab.remove();
}

/// `KILN_SEED` repeats a run. A builder that is through before its moment leaves nothing for the next one to be killed
/// at: that one begins with an empty store.
#[test]
#[ignore = "minutes: `./test long` runs it"]
#[expect(clippy::print_stderr, reason = "the seed repeats a run that failed")]
fn twenty_kills_at_random_moments_change_no_image_and_leave_a_clean_store() {
    let seed = std::env::var("KILN_SEED").unwrap_or_else(|_| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        hex::encode(bytes)
    });
    eprintln!("KILN_SEED={seed}");
    let lab = Lab::new("killed");
    let url = lab.place(true);
    lab.pull(&url);
    let (mut rounds, mut killed) = (0, 0);
    while killed < 20 {
        assert!(rounds < 100, "{killed} builders of {rounds} were killed before they were through");
        let random = u64::from_str_radix(&sha256_hex(format!("{seed} {rounds}"))[..12], 16).unwrap();
        let moment = Duration::from_millis(random % LONGEST);
        let out = format!("out-{rounds}");
        let mut child = lab.start(&out, &["--offline"]);
        std::thread::sleep(moment);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let unfinished: Vec<String> = fs::read_dir(lab.path("store/tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().chars().take(20).collect())
            .collect();
        eprintln!("kill {rounds} after {moment:?}: {status}, unfinished {unfinished:?}");
        support::run(&mut lab.command(&["store", "verify"]));
        if status.success() {
            fs::remove_dir_all(lab.path("store")).unwrap();
            lab.pull(&url);
        } else {
            killed += 1;
        }
        rounds += 1;
    }
    support::run(&mut lab.build("out", &["--offline"]));
    let expected = lab.hashes("out");
    lab.is_clean();
    // What killed builders left of their results is whole, too.
    for round in 0..rounds {
        for (role, sha256) in &expected {
            let image = lab.path(&format!("out-{round}/{PROFILE}/{role}.qcow2"));
            if image.exists() {
                assert_eq!(&sha256_hex(fs::read(&image).unwrap()), sha256, "{}", image.display());
            }
        }
    }
    lab.remove();
}

/// On a file system of the kernel's memory, in a mount namespace, which is a thread's.
#[test]
#[ignore = "minutes: `./test long` runs it"]
fn a_full_disk_at_any_stage_is_named_and_a_larger_one_gets_the_same_images() {
    let lab = Lab::new("full");
    let url = lab.place(true);
    let fill = || {
        let store = lab.path("store");
        fs::create_dir(&store).unwrap();
        unshare(CloneFlags::CLONE_NEWNS).expect("this test mounts a small file system: run it as root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let size = |size: u64, flags| {
            let options = format!("size={size}M");
            mount(Some("tmpfs"), store.as_path(), Some("tmpfs"), flags, Some(options.as_str())).unwrap();
        };
        let refused = |mut command: Command| {
            let output = command.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            let fact = format!("no room on the file system of `{}`: ", store.display());
            assert!(stderr.contains(&fact) && stderr.contains(" store gc` removes"), "{stderr}");
            support::run(&mut lab.command(&["store", "verify"]));
        };
        size(100, MsFlags::empty());
        let pull = ["store", "pull", &url, "--profile", PROFILE, "--offline"];
        refused(lab.command(&pull));
        size(16_000, MsFlags::MS_REMOUNT);
        lab.pull(&url);
        // Room for some of what a build makes, then for more of it.
        for more in [20, 200, 400, 800] {
            let stat = nix::sys::statvfs::statvfs(store.as_path()).unwrap();
            let used = (stat.blocks() - stat.blocks_free()) * stat.fragment_size() / 1_000_000;
            size(used + more, MsFlags::MS_REMOUNT);
            refused(lab.build("out", &["--offline"]));
            assert!(!lab.path("out").join(PROFILE).exists(), "a result of a build without room");
        }
        size(16_000, MsFlags::MS_REMOUNT);
        support::run(&mut lab.build("out", &["--offline"]));
        lab.hashes("out");
        lab.is_clean();
    };
    std::thread::scope(|scope| scope.spawn(fill).join()).unwrap();
    lab.remove();
}
