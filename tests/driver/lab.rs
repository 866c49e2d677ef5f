//! A built cluster of two tiny machines, and the QEMU that runs them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use builder::deb::roots::{self, QEMU};
use builder::driver::{
    Accel, Delete, DownRequest, DriverError, Running, StatusReport, UpRequest, Wait, down, logs, named,
    status, up,
};
use builder::ground::arch::Arch;
use builder::ground::progress::Progress;
use builder::lockfile::Lock;
use builder::mirror::Mirrors;
use builder::plan::inputs::root_items;
use builder::results::cluster::ClusterJson;
use builder::sandbox::Sandbox;
use builder::store::Store;
use fs_err as fs;

/// Prints the text at 0x40 on the first serial port; when the power button is pressed, prints the text at 0x100 and
/// powers off. The ports of the power management are where SeaBIOS puts them on a q35 machine.
const CODE: [u8; 54] = [
    0x31, 0xc0, // xor ax, ax
    0x8e, 0xd8, // mov ds, ax
    0xbe, 0x40, 0x7c, // mov si, 0x7c40
    0xe8, 0x20, 0x00, // call print
    0xba, 0x02, 0x06, // mov dx, 0x602: PM1_EN
    0xb8, 0x00, 0x01, // mov ax, 0x100: the power button
    0xef, // out dx, ax
    0xfb, // sti
    0xf4, // wait: hlt
    0xba, 0x00, 0x06, // mov dx, 0x600: PM1_STS
    0xed, // in ax, dx
    0xf6, 0xc4, 0x01, // test ah, 1
    0x74, 0xf6, // jz wait
    0xbe, 0x00, 0x7d, // mov si, 0x7d00
    0xe8, 0x08, 0x00, // call print
    0xba, 0x04, 0x06, // mov dx, 0x604: PM1_CNT
    0xb8, 0x00, 0x20, // mov ax, 0x2000: power off
    0xef, // out dx, ax
    0xf4, // hlt
    0xba, 0xf8, 0x03, // print: mov dx, 0x3f8: COM1
    0xac, // next: lodsb
    0x84, 0xc0, // test al, al
    0x74, 0x03, // jz done
    0xee, // out dx, al
    0xeb, 0xf8, // jmp next
    0xc3, // done: ret
];

/// A disk with a boot sector of that code, and with texts at 0x40 and 0x100 of it.
pub(super) fn boot_sector(code: &[u8], texts: [&str; 2]) -> Vec<u8> {
    let mut disk = vec![0; 1 << 20];
    disk[..code.len()].copy_from_slice(code);
    for (at, text) in [0x40, 0x100].into_iter().zip(texts) {
        disk[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

fn qemu_root() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lock = Lock::load(&project.join("lockfile.toml")).unwrap();
    let folder =
        std::env::var_os("KILN_STORE").map_or_else(|| project.join("target/test-store"), PathBuf::from);
    let store = Store::open(&folder).unwrap();
    let items = root_items(&lock, &Mirrors::find(None).unwrap(), Arch::Amd64, QEMU);
    let progress = Progress::new();
    builder::fetch::fetch(&store, items, false, &progress).unwrap();
    roots::unpack(&store, &lock, QEMU, Arch::Amd64, &progress).unwrap().path
}

/// A built cluster of two machines, `a` and `b`.
pub(super) struct Lab {
    pub(super) root: PathBuf,
    /// Of the results, by the name of the profile.
    pub(super) folder: PathBuf,
    home: tempfile::TempDir,
}

impl Lab {
    pub(super) fn new() -> Self {
        let hello = "firstboot: tiny: applied 1 files in 1 ms, 0 unchanged\r\n\r\ntiny login: ";
        Self::of(&boot_sector(&CODE, [hello, "\r\nbye\r\n"]))
    }

    /// One whose machines have this disk.
    pub(super) fn of(disk: &[u8]) -> Self {
        let home = tempfile::Builder::new().prefix("my results ").tempdir().unwrap();
        let lab = Self { root: qemu_root(), folder: home.path().join("lab"), home };
        fs::create_dir(&lab.folder).unwrap();
        fs::write(lab.path("disk.raw"), disk).unwrap();
        let sandbox = Sandbox::new(&lab.root).lend(&lab.folder, "/kiln/lab").cwd("/kiln/lab");
        sandbox.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"]).unwrap();
        lab.describe('a', "22,6443");
        lab
    }

    /// Writes what a build would, with the same disk as every image; `digit` makes the image's hash.
    pub(super) fn describe(&self, digit: char, ports: &str) {
        let sha256 = digit.to_string().repeat(64);
        let image = self.path(&format!("images/{sha256}.qcow2"));
        fs::create_dir_all(self.path("images")).unwrap();
        if !image.exists() {
            fs::copy(self.path("disk.qcow2"), &image).unwrap();
        }
        let link = self.path("tiny.qcow2");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&image, link).unwrap();
        let node = |name: &str, host: u8, ports: &str| {
            format!(
                r#"{{"name":"{name}","role":"tiny","image":"tiny.qcow2","mac":"52:54:00:00:00:{host}","ip":"10.9.8.{host}",
                "pod_cidr":"10.200.{host}.0/24","cpus":1,"memory_mib":32,"disk_mib":16,"ports":[{ports}],"seed":null}}"#
            )
        };
        let text = format!(
            r#"{{"version":1,"name":"lab","release":"debian","arch":"amd64",
            "network":{{"cidr":"10.9.8.0/24","gateway":"10.9.8.1"}},
            "images":[{{"role":"tiny","path":"tiny.qcow2","format":"qcow2","size":1,"sha256":"{sha256}",
            "content_sha256":"{sha256}"}}],"nodes":[{},{}]}}"#,
            node("a", 10, ports),
            node("b", 11, "22"),
        );
        let cluster = ClusterJson::parse(Path::new("cluster.json"), &text).unwrap();
        fs::write(self.path("cluster.json"), cluster.to_text().unwrap()).unwrap();
    }

    /// What `--out` says for it.
    pub(super) fn out(&self) -> &Path {
        self.home.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn up(&self, node: Option<&str>) -> Result<StatusReport, DriverError> {
        self.up_with(node, false)
    }

    pub(super) fn up_with(&self, node: Option<&str>, capture: bool) -> Result<StatusReport, DriverError> {
        up(named("qemu").unwrap(), &UpRequest { node, capture, ..self.request() }, &Progress::new())
    }

    /// All machines, emulated, up to their prompts: trying KVM takes seconds where it runs no kernel.
    pub(super) fn request(&self) -> UpRequest<'_> {
        UpRequest {
            results: &self.folder,
            root: Some(&self.root),
            node: None,
            replace: false,
            accel: Accel::Tcg,
            firmware: None,
            capture: false,
            options: &[],
            wait: Wait::Login,
            timeout: Duration::from_secs(60),
        }
    }

    pub(super) fn down(&self, node: Option<&str>, grace: u64, delete: bool) -> Result<(), DriverError> {
        let delete = if delete { Delete::All } else { Delete::Nothing };
        let request = DownRequest { results: &self.folder, node, grace: Duration::from_secs(grace), delete };
        down(&request, &Progress::new())
    }

    pub(super) fn states(&self) -> Vec<Running> {
        let report = status(&self.folder).unwrap();
        report.nodes.iter().map(|node| node.state).chain([report.network]).collect()
    }

    pub(super) fn wait_for_states(&self, wanted: [Running; 3]) {
        for _ in 0..100 {
            if self.states() == wanted {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.states(), wanted);
    }

    pub(super) fn console(&self, node: &str) -> String {
        let mut text = Vec::new();
        logs(&self.folder, node, false, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Sockets below `run`, and processes that were started for this folder.
    pub(super) fn left_over(&self) -> Vec<String> {
        let entries = walkdir::WalkDir::new(&self.folder).into_iter().map(Result::unwrap);
        let sockets = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "sock"));
        let mut left: Vec<String> = sockets.map(|entry| entry.path().display().to_string()).collect();
        let own = fs::canonicalize(&self.folder).unwrap().display().to_string();
        for entry in fs::read_dir("/proc").unwrap() {
            let command = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            if command.contains(&own) && command.contains(builder::sandbox::INNER) {
                left.push(command);
            }
        }
        left
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.down(None, 0, true);
    }
}
