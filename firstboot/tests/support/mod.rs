//! A machine made of files: an image's root, a kernel tree, a command line and an identity partition in a temporary
//! folder, and one run of firstboot on it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod cloud;
pub mod machines;
pub mod network;
pub mod seed;
#[cfg(target_arch = "x86_64")]
pub mod trace;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use firstboot::args::Args;
use firstboot::console::Console;
use firstboot::image::Owner;
use firstboot::ops::{Ops, Real};
use firstboot::run::run;
use fs_err as fs;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// The node table's card of `node-0`.
pub const NODE_0: &str = "52:54:00:6b:00:0b";

/// Bytes of the identity partition.
const PARTITION: usize = 256 << 10;

/// A machine.
pub struct World {
    dir: TempDir,
    metadata_server: Mutex<Option<SocketAddr>>,
}

/// What one run said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub console: String,
    pub stdout: String,
    pub failed: bool,
}

impl Said {
    /// The console without the program's name and the time that the run took.
    pub fn lines(&self) -> String {
        let line = |line: &str| {
            let line = line.trim_start_matches("firstboot: ");
            match line.split_once(" ms, ") {
                Some((before, after)) => format!("{} N ms, {after}", before.rsplit_once(' ').unwrap().0),
                None => line.to_owned(),
            }
        };
        self.console.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl World {
    /// A worker's image, with an empty command line, no network card and a partition without an identity.
    pub fn new() -> Self {
        let world = Self { dir: TempDir::new().unwrap(), metadata_server: Mutex::new(None) };
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/worker"), &world.root());
        world.cmdline("BOOT_IMAGE=/vmlinuz root=PARTUUID=x ro quiet");
        fs::create_dir_all(world.path("sys/class/net")).unwrap();
        world.card("lo", "00:00:00:00:00:00", "772");
        fs::write(world.path("identity"), vec![0; PARTITION]).unwrap();
        world.put("root/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n");
        world.put("root/etc/group", b"root:x:0:\n");
        world
    }

    /// As [`World::new`], but it has an Ethernet card and the identities of the workers.
    pub fn with_card(name: &str, mac: &str) -> Self {
        let world = Self::new();
        world.card(name, mac, "1");
        world.identity(&Identity::workers());
        world
    }

    /// As [`World::with_card`], with the card of `node-0`.
    pub fn node_0() -> Self {
        Self::with_card("enp1s0", NODE_0)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub fn cmdline(&self, text: &str) {
        fs::write(self.path("cmdline"), format!("{text}\n")).unwrap();
    }

    pub fn card(&self, name: &str, mac: &str, kind: &str) {
        let dir = self.path("sys/class/net").join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("address"), format!("{mac}\n")).unwrap();
        fs::write(dir.join("type"), format!("{kind}\n")).unwrap();
    }

    /// Sets the serial number of the machine.
    pub fn serial(&self, serial: &str) {
        self.put("sys/class/dmi/id/product_serial", format!("{serial}\n").as_bytes());
    }

    /// Sets the firmware's OEM strings.
    pub fn oem_strings(&self, strings: &[&str]) {
        let mut raw = vec![11, 5, 0, 14, strings.len() as u8];
        for string in strings {
            raw.extend([string.as_bytes(), b"\0"].concat());
        }
        raw.push(0);
        self.put("sys/firmware/dmi/entries/11-0/raw", &raw);
    }

    /// Sets one of QEMU's configuration values.
    pub fn fw_cfg(&self, name: &str, value: &str) {
        self.put(&format!("sys/firmware/qemu_fw_cfg/by_name/{name}/raw"), value.as_bytes());
    }

    /// Sets one of the service's credentials.
    pub fn credential(&self, name: &str, value: &str) {
        self.put(&format!("credentials/{name}"), value.as_bytes());
    }

    /// Writes a file of the machine, with the folders above it.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn identity(&self, identity: &Identity) {
        fs::write(self.path("identity"), identity.partition()).unwrap();
    }

    pub fn partition(&self) -> Vec<u8> {
        fs::read(self.path("identity")).unwrap()
    }

    pub fn is_wiped(&self) -> bool {
        let bytes = self.partition();
        bytes.len() == PARTITION && bytes.iter().all(|byte| *byte == 0)
    }

    pub fn args(&self) -> Args {
        Args {
            root: self.root(),
            cmdline: self.path("cmdline"),
            sys: self.path("sys"),
            dev: self.path("dev"),
            routes: self.path("routes"),
            credentials: Some(self.path("credentials")),
            identity: Some(self.path("identity")),
            metadata_server: self.metadata_server.lock().unwrap().unwrap_or(Args::default().metadata_server),
            ..Args::default()
        }
    }

    pub fn boot(&self) -> Said {
        self.boot_with(&self.args(), &mut Real)
    }

    pub fn boot_with(&self, args: &Args, ops: &mut dyn Ops) -> Said {
        let (mut console, mut stdout) = (Vec::new(), Vec::new());
        let mut lines = Console::new(&mut console);
        let result = run(args, ops, &mut lines, &mut stdout);
        if let Err(error) = &result {
            lines.say(&error.to_string());
            lines.say(error.hint());
        }
        let here = self.dir.path().to_str().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(here, "");
        Said { console: text(console), stdout: text(stdout), failed: result.is_err() }
    }

    /// A file below the root.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Every file and folder below the root with mode and content, so that two trees can be compared.
    pub fn tree(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut tree = BTreeMap::new();
        list(&self.root(), "", &mut tree);
        tree
    }

    /// Replaces one piece of the image's node table.
    pub fn edit_table(&self, from: &str, to: &str) {
        let path = self.root().join("usr/lib/kiln/cluster.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "the table has no {from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Adds a file to the image's node tree.
    pub fn template(&self, path: &str, text: &str) {
        let path = self.root().join("usr/lib/kiln/node").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// An identity stream under construction. Owners are those of this process, so that tests need no root.
pub struct Identity(Builder<Vec<u8>>);

impl Identity {
    pub fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// Two workers with a key each, as `builder` writes it.
    pub fn workers() -> Self {
        let mut identity = Self::new();
        for node in ["node-0", "node-1"] {
            identity.add(&format!("{node}/var/lib/kubelet/"), EntryType::Directory, 0o700, b"");
            identity.file(&format!("{node}/var/lib/kubelet/ca.crt"), 0o644, b"the authority\n");
            let key = format!("secret of {node}\n");
            identity.file(&format!("{node}/var/lib/kubelet/kubelet.key"), 0o600, key.as_bytes());
        }
        identity
    }

    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.add(path, EntryType::Regular, mode, content);
    }

    pub fn add(&mut self, path: &str, kind: EntryType, mode: u32, content: &[u8]) {
        let mut header = Header::new_ustar();
        // The name is written as it is, because `set_path` refuses what the reader has to refuse.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_uid(u64::from(nix::unistd::geteuid().as_raw()));
        header.set_gid(u64::from(nix::unistd::getegid().as_raw()));
        header.set_cksum();
        self.0.append(&header, content).unwrap();
    }

    pub fn stream(&self) -> Vec<u8> {
        let mut stream = self.0.get_ref().clone();
        stream.resize(stream.len() + 1024, 0);
        stream
    }

    pub fn partition(&self) -> Vec<u8> {
        let mut stream = self.stream();
        stream.resize(stream.len().max(PARTITION), 0);
        stream
    }
}

/// The operations with every owner turned into this process, which may not be root. Nothing is made durable: a busy
/// machine takes its time over it.
pub struct AnyOwner(Owner);

impl Default for AnyOwner {
    fn default() -> Self {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Self(Owner { uid, gid })
    }
}

impl Ops for AnyOwner {
    fn make_dir(&mut self, path: &Path, temp: &Path, mode: u32, _: Owner) -> io::Result<()> {
        Real.make_dir(path, temp, mode, self.0)
    }

    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, _: Owner) -> io::Result<()> {
        Real.write(path, bytes, mode, self.0)
    }

    fn sync(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        Real.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        Real.remove(path)
    }

    fn set_hostname(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn zero(&mut self, device: &Path, offset: u64, len: u64) -> io::Result<()> {
        Real.zero(device, offset, len)
    }

    fn discard(&mut self, _: &Path, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Whether this is the long tier: `./test long`.
pub fn is_long() -> bool {
    std::env::var("KILN_TIER").is_ok_and(|tier| tier == "long")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
            fs::set_permissions(&to, PermissionsExt::from_mode(0o644)).unwrap();
        }
    }
}

fn list(dir: &Path, path: &str, tree: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            tree.insert(path.clone(), (meta.mode(), Vec::new()));
            list(&entry.path(), &path, tree);
        } else if meta.is_file() {
            tree.insert(path, (meta.mode(), fs::read(entry.path()).unwrap()));
        }
    }
}
