//! What the end-to-end tests share: the program under test, a store that lasts, and the pinned tools.
//!
//! `./test` sets the environment; without it these tests fail by name instead of passing without having run.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};

use builder::deb::roots::{self, TOOLS};
use builder::disk;
use builder::ground::arch::Arch;
use builder::ground::progress::Progress;
use builder::lockfile::Lock;
use builder::mirror::Mirrors;
use builder::plan::inputs::root_items;
use builder::results::images_lock::{ImagesLock, Of, OnRecord};
use builder::sandbox::{LAUNCHER, Sandbox};
use builder::store::Store;
use fs_err as fs;
use nix::unistd::{Uid, User};

/// The program under test.
pub const BUILDER: &str = env!("CARGO_BIN_EXE_builder");

/// The profile that the tests build and boot.
pub const PROFILE: &str = "1cp-2workers";

/// The checkout.
pub fn project() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
}

/// The store that outlives the tests: what is slow to make lies there.
pub fn store() -> PathBuf {
    let store = std::env::var_os("KILN_STORE").expect("`./test` runs this test: KILN_STORE is not set");
    assert!(std::env::var_os(LAUNCHER).is_some(), "`./test` runs this test: {LAUNCHER} is not set");
    PathBuf::from(store)
}

/// Whether this is the long tier: `./test long`.
pub fn long() -> bool {
    std::env::var("KILN_TIER").is_ok_and(|tier| tier == "long")
}

/// A folder for results that stays after the test, empty at its start.
pub fn fresh(name: &str) -> PathBuf {
    let folder = project().join("target/e2e").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A store in a folder with the same downloads and compiled programs, and nothing that was made of them.
#[expect(clippy::disallowed_methods, reason = "the host's cp")]
pub fn another_store(folder: &Path) -> PathBuf {
    let other = folder.join("store");
    fs::create_dir_all(other.join("steps")).unwrap();
    let link = |from: &Path, to: &Path| {
        run(std::process::Command::new("cp").args(["-rl", text(from), text(to)]));
    };
    link(&store().join("files"), &other);
    for entry in fs::read_dir(store().join("steps")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("source-") || name.starts_with("module-") {
            link(&path, &other.join("steps"));
        }
    }
    other
}

/// A secret file that is the same in every run, so that whole images can be compared.
pub fn secret(folder: &Path, byte: u8) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(format!("secret-{byte:02x}"));
    fs::write(&path, format!("{}\n", format!("{byte:02x}").repeat(32))).unwrap();
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A project whose one role is the base recipe, and a profile of one node of it: `bare`, `server`. Nothing is compiled
/// for it.
#[expect(clippy::disallowed_methods, reason = "the host's cp")]
pub fn bare(folder: &Path) -> PathBuf {
    let bare = folder.join("project");
    for folder in ["images/bare", "profiles"] {
        fs::create_dir_all(bare.join(folder)).unwrap();
    }
    let base = project().join("images/base");
    run(std::process::Command::new("cp").args(["-r", text(&base), text(&bare.join("images"))]));
    fs::copy(project().join("lockfile.toml"), bare.join("lockfile.toml")).unwrap();
    // Without a control plane there is no profile; nothing of one is installed here.
    let recipe = "description = \"Debian and firstboot\"\nparts = [\"base\"]\n\
        duties = [\"kubelet\", \"etcd\", \"api-server\", \"controllers\"]\n";
    fs::write(bare.join("images/bare/image.toml"), recipe).unwrap();
    let profile = fs::read_to_string(project().join("profiles/single.toml")).unwrap();
    let profile = profile.replace("role = \"single\"", "role = \"bare\"");
    fs::write(bare.join("profiles/bare.toml"), profile).unwrap();
    bare
}

/// A user who is not root; [`make_ordinary_user`] makes it.
pub const ORDINARY_USER: &str = "kiln-test";

/// Makes the ordinary user when it is not there.
#[expect(clippy::disallowed_methods, reason = "the host's useradd")]
pub fn make_ordinary_user() {
    assert!(Uid::effective().is_root(), "this test makes an ordinary user: run it as root");
    if User::from_name(ORDINARY_USER).unwrap().is_none() {
        run(std::process::Command::new("useradd").args(["--create-home", ORDINARY_USER]));
    }
}

/// What a program says.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program that has to succeed; its standard error goes to the test's.
#[expect(clippy::print_stderr, reason = "the harness shows it when the test fails")]
pub fn run(command: &mut std::process::Command) -> Said {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    eprintln!("$ {command:?}\n{stderr}");
    assert!(output.status.success(), "{command:?} failed: {stderr}{stdout}");
    Said { stdout, stderr }
}

/// `builder` with arguments in the checkout.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
pub fn say(args: &[&str]) -> Said {
    run(std::process::Command::new(BUILDER).current_dir(project()).args(args))
}

/// The same, for what it prints.
pub fn builder(args: &[&str]) -> String {
    say(args).stdout
}

/// Builds the profile into a folder with the test's secret and returns what it printed.
pub fn build(out: &Path) -> String {
    let secret = secret(out, 7);
    builder(&["build", "--profile", PROFILE, "--out", text(out), "--secret", text(&secret)])
}

/// What `images.lock` has of [`PROFILE`].
pub fn on_record() -> OnRecord {
    let of = Of { profile: PROFILE.to_owned(), release: release(), arch: Arch::Amd64 };
    ImagesLock::load(&project()).unwrap().of(of).unwrap()
}

/// A program of the tests' own Python packages, which `./setup tests` installs.
pub fn python(program: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let path = cache.join("kiln-tests/python/bin").join(program);
    assert!(path.exists(), "`./setup tests` installs {}", path.display());
    path
}

/// Ends the machines of a profile in a folder of results when it is dropped.
pub struct End<'a>(pub &'a str, pub &'a Path);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut down = assert_cmd::Command::new(BUILDER);
        down.current_dir(project());
        let _ = down.args(["down", "--profile", self.0, "--grace", "0", "--out", text(self.1)]).output();
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The pinned tools.
pub fn tools() -> Sandbox {
    root(TOOLS)
}

/// A root of the lock, fetched and unpacked into the store.
pub fn root(name: &str) -> Sandbox {
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    let store = Store::open(&store()).unwrap();
    let progress = Progress::new();
    let items = root_items(&lock, &Mirrors::find(None).unwrap(), Arch::Amd64, name);
    builder::fetch::fetch(&store, items, false, &progress).unwrap();
    Sandbox::new(&roots::unpack(&store, &lock, name, Arch::Amd64, &progress).unwrap().path)
}

/// The release that is built when nobody names one.
pub fn release() -> String {
    Lock::load(&project().join("lockfile.toml")).unwrap().default_release
}

/// Takes a program out of the root file system of a raw disk; one that is a link to another one of its folder, too.
pub fn program(tools: &Sandbox, raw: &Path, path: &str, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let told = String::from_utf8(debugfs(tools, raw, &format!("stat {path}"))).unwrap();
    let target = told.split_once("Fast link dest: \"").and_then(|(_, rest)| rest.split_once('"'));
    let file = match target {
        Some((name, _)) => format!("{}/{name}", path.rsplit_once('/').unwrap().0),
        None => path.to_owned(),
    };
    fs::write(to, debugfs(tools, raw, &format!("cat {file}"))).unwrap();
    fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The raw disk of a qcow2 file without a backing file, or of an overlay in a folder of results.
pub fn raw(tools: &Sandbox, image: &Path, folder: &Path) -> PathBuf {
    let raw = folder.join(format!("{}.raw", image.file_stem().unwrap().to_string_lossy()));
    disk::to_raw(tools, image, &raw).unwrap();
    raw
}

/// Runs a debugfs command on the root file system of a raw disk.
pub fn debugfs(tools: &Sandbox, raw: &Path, command: &str) -> Vec<u8> {
    let mut file = fs::File::open(raw).unwrap();
    let partitions = disk::layout::read(&mut file).unwrap();
    let root = partitions.iter().find(|partition| partition.name == "kiln-root").expect("a root partition");
    let at = format!("/tmp/disk.raw?offset={}", root.range.start);
    tools.clone().show(raw, "/tmp/disk.raw").run(["debugfs", "-R", command, &at]).unwrap()
}
