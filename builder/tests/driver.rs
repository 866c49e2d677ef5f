//! Machines that really run: QEMU from the project's lock, and a boot sector that speaks on the serial port and obeys
//! the power button. They fetch the root `qemu` into the store.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use builder::driver::{
    Accel, DownRequest, Driver, DriverError, Firmware, Runner, Running, Stage, StatusReport, UpRequest, Wait,
    down, logs, print, status, up,
};
use builder::lock::Lock;
use builder::lock::format::Arch;
use builder::mirror::Mirrors;
use builder::plan::{QEMU, root_items};
use builder::progress::Progress;
use builder::report::cluster::ClusterJson;
use builder::sandbox::{LAUNCHER, Sandbox};
use builder::stage::roots;
use builder::store::Store;
use fs_err as fs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The sandbox re-executes `builder`, not this test: the test runs itself again with its name.
fn ran_again(test: &str) -> bool {
    if std::env::var_os(LAUNCHER).is_some() {
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let mut again = assert_cmd::Command::new(own);
    again.args(["--exact", test, "--nocapture"]).env(LAUNCHER, env!("CARGO_BIN_EXE_builder"));
    again.assert().success();
    true
}

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

fn boot_sector() -> Vec<u8> {
    let mut disk = vec![0; 1 << 20];
    disk[..CODE.len()].copy_from_slice(&CODE);
    let hello = b"firstboot: tiny: applied 1 files in 1 ms, 0 unchanged\r\n\r\ntiny login: \0";
    disk[0x40..0x40 + hello.len()].copy_from_slice(hello);
    let bye = b"\r\nbye\r\n\0";
    disk[0x100..0x100 + bye.len()].copy_from_slice(bye);
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
struct Lab {
    root: PathBuf,
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { root: qemu_root(), folder: tempfile::tempdir().unwrap() };
        fs::write(lab.path("disk.raw"), boot_sector()).unwrap();
        let sandbox = Sandbox::new(&lab.root).lend(lab.folder.path(), "/kiln/lab").cwd("/kiln/lab");
        sandbox.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "disk.raw", "tiny.qcow2"]).unwrap();
        lab.describe('a', "22,6443");
        lab
    }

    /// Writes cluster.json; `digit` makes the image's hash.
    fn describe(&self, digit: char, ports: &str) {
        let sha256 = digit.to_string().repeat(64);
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn up(&self, node: Option<&str>) -> Result<StatusReport, DriverError> {
        self.up_with(node, false)
    }

    fn up_with(&self, node: Option<&str>, capture: bool) -> Result<StatusReport, DriverError> {
        let request = UpRequest {
            results: self.folder.path(),
            runner: Runner::Qemu(&self.root),
            node,
            accel: Accel::Auto,
            firmware: Firmware::Bios,
            capture,
            wait: Wait::Login,
            timeout: Duration::from_secs(60),
        };
        up(&request, &Progress::new())
    }

    fn down(&self, node: Option<&str>, grace: u64, delete: bool) -> Result<(), DriverError> {
        let request =
            DownRequest { results: self.folder.path(), node, grace: Duration::from_secs(grace), delete };
        down(&request, &Progress::new())
    }

    fn states(&self) -> Vec<Running> {
        let report = status(self.folder.path()).unwrap();
        report.nodes.iter().map(|node| node.state).chain([report.network]).collect()
    }

    fn wait_for_states(&self, wanted: [Running; 3]) {
        for _ in 0..100 {
            if self.states() == wanted {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.states(), wanted);
    }

    fn console(&self, node: &str) -> String {
        let mut text = Vec::new();
        logs(self.folder.path(), node, false, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Sockets below `run`, and processes that were started for this folder.
    fn left_over(&self) -> Vec<String> {
        let entries = walkdir::WalkDir::new(self.folder.path()).into_iter().map(Result::unwrap);
        let sockets = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "sock"));
        let mut left: Vec<String> = sockets.map(|entry| entry.path().display().to_string()).collect();
        let own = fs::canonicalize(self.folder.path()).unwrap().display().to_string();
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

#[test]
fn machines_come_up_and_leave_nothing_behind() {
    if ran_again("machines_come_up_and_leave_nothing_behind") {
        return;
    }
    use Running::{Running as On, Stopped as Off};
    let lab = Lab::new();

    let report = lab.up_with(None, true).unwrap();
    assert_eq!(lab.states(), [On, On, On]);
    assert!(report.nodes.iter().all(|node| node.boot.stage == Stage::Login && node.pid.is_some()));
    assert!(lab.console("a").ends_with("\n\ntiny login: "), "{}", lab.console("a"));
    // A second time there is nothing to do: a gateway that captures goes on.
    let pids = |report: &StatusReport| report.nodes.iter().map(|node| node.pid).collect::<Vec<_>>();
    assert_eq!(pids(&lab.up(None).unwrap()), pids(&report));

    // One is killed from outside: status sees it, the other goes on, up brings it back on its own disk.
    let victim = report.nodes[1].pid.unwrap();
    kill(Pid::from_raw(i32::try_from(victim).unwrap()), Signal::SIGKILL).unwrap();
    lab.wait_for_states([On, Off, On]);
    let again = lab.up(Some("b")).unwrap();
    assert_eq!(pids(&again)[0], pids(&report)[0]);
    assert_ne!(pids(&again)[1], pids(&report)[1]);
    assert_eq!(again.nodes[1].ports, report.nodes[1].ports);
    assert!(lab.path("run/b/serial.log.1").exists());

    // Another network is refused while machines hang on the old one.
    lab.describe('a', "22");
    assert!(matches!(lab.up(None), Err(DriverError::NetworkChanged { .. })));
    lab.describe('a', "22,6443");

    // The power button; the network stays for the other.
    lab.down(Some("a"), 30, false).unwrap();
    assert_eq!(lab.states(), [Off, On, On]);
    assert!(lab.console("a").ends_with("\nbye\n"), "{}", lab.console("a"));
    // An `up` that was killed may have started a machine without noting its process id.
    let state = fs::read_to_string(lab.path("run/state.json")).unwrap();
    let pid = format!("\"pid\": {}", again.nodes[1].pid.unwrap());
    assert!(state.contains(&pid), "{state}");
    let mut forgotten: serde_json::Value = serde_json::from_str(&state).unwrap();
    forgotten["nodes"]["b"]["pid"].take();
    for process in ["switch", "gateway"] {
        assert!(forgotten["network"][process].take().is_u64(), "{state}");
    }
    fs::write(lab.path("run/state.json"), forgotten.to_string()).unwrap();
    lab.down(None, 0, false).unwrap();
    assert_eq!(lab.states(), [Off, Off, Off]);
    assert_eq!(lab.left_over(), Vec::<String>::new());
    lab.down(None, 30, false).unwrap();

    // A capture has the whole story or is refused.
    lab.up(Some("a")).unwrap();
    assert!(matches!(lab.up_with(Some("b"), true), Err(DriverError::NetworkChanged { .. })));
    lab.down(None, 0, false).unwrap();

    // The disks are still there, and belong to the old image.
    assert!(lab.path("run/a/disk.qcow2").exists());
    lab.describe('b', "22,6443");
    assert!(matches!(lab.up(None), Err(DriverError::ImageChanged { .. })));
    lab.down(None, 0, true).unwrap();
    assert!(!lab.path("run").exists());
    assert_eq!(lab.left_over(), Vec::<String>::new());
}

#[test]
fn a_machine_that_cannot_start_is_told_with_its_own_words() {
    if ran_again("a_machine_that_cannot_start_is_told_with_its_own_words") {
        return;
    }
    let lab = Lab::new();
    lab.up(Some("a")).unwrap();
    lab.down(None, 0, false).unwrap();
    fs::write(lab.path("run/a/disk.qcow2"), "not a disk").unwrap();
    let error = lab.up(Some("a")).unwrap_err().to_string();
    assert!(error.starts_with("QEMU for `a` did not start; it said:\n"), "{error}");
    assert!(error.contains("Image is not in qcow2 format"), "{error}");
    lab.down(None, 0, true).unwrap();
    assert_eq!(lab.left_over(), Vec::<String>::new());
}

/// An Ethernet card on the switch, by a QEMU without a machine that hands over its frames with their length before
/// them ("-netdev stream" in QEMU's documentation).
struct Card {
    stream: UnixStream,
    qemu: Pid,
    _folder: tempfile::TempDir,
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = kill(self.qemu, Signal::SIGKILL);
    }
}

impl Card {
    /// The switch knows the sockets by the paths that its own sandbox has.
    fn plug(lab: &Lab) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let switch = "vde,id=switch,sock=/kiln/cluster/run/_switch/vde";
        let card = "stream,id=card,server=on,addr.type=unix,addr.path=/kiln/card/card.sock";
        let mut argv = vec!["qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none"];
        argv.extend(["-netdev", switch, "-netdev", "hubport,id=one,hubid=0,netdev=switch"]);
        argv.extend(["-netdev", card, "-netdev", "hubport,id=other,hubid=0,netdev=card"]);
        let sandbox = Sandbox::new(&lab.root)
            .lend(lab.folder.path(), "/kiln/cluster")
            .lend(folder.path(), "/kiln/card");
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let qemu = Pid::from_raw(i32::try_from(sandbox.spawn(argv, log).unwrap()).unwrap());
        let path = folder.path().join("card.sock");
        let connected = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            UnixStream::connect(&path).ok()
        });
        let said = fs::read_to_string(folder.path().join("log")).unwrap();
        let stream = connected.unwrap_or_else(|| panic!("QEMU does not listen for its card: {said}"));
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        Self { stream, qemu, _folder: folder }
    }

    fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
        self.stream.write_all(frame).unwrap();
    }

    /// The next frame of an Ethernet type.
    fn receive(&mut self, kind: u16) -> Vec<u8> {
        loop {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length).unwrap();
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            self.stream.read_exact(&mut frame).unwrap();
            if frame[12..14] == kind.to_be_bytes() {
                return frame;
            }
        }
    }
}

#[test]
fn the_switch_joins_the_nodes_and_the_forwarded_ports() {
    const TEST: u16 = 0x88b5; // IEEE 802: local experiments
    const ARP: u16 = 0x0806;
    const ALL: u8 = 0xff;
    if ran_again("the_switch_joins_the_nodes_and_the_forwarded_ports") {
        return;
    }
    let lab = Lab::new();
    let port = lab.up(Some("a")).unwrap().nodes[0].ports[&6443];
    // Only the network stays; the test takes the places of the machines.
    let pid = status(lab.folder.path()).unwrap().nodes[0].pid.unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    lab.wait_for_states([Running::Stopped, Running::Stopped, Running::Running]);
    let (mut a, mut b, mut other) = (Card::plug(&lab), Card::plug(&lab), Card::plug(&lab));

    let frame = |to: u8, from: u8, text: &[u8]| {
        let mut frame = if to == ALL { vec![0xff; 6] } else { vec![2, 0, 0, 0, 0, to] };
        frame.extend([2, 0, 0, 0, 0, from]);
        frame.extend(TEST.to_be_bytes());
        frame.extend(text);
        frame.resize(60, 0);
        frame
    };
    // To all, and then to one alone: nobody else sees it, so nobody else can answer it.
    b.send(&frame(ALL, 2, b"from b"));
    assert_eq!(&a.receive(TEST)[14..20], b"from b");
    assert_eq!(&other.receive(TEST)[14..20], b"from b");
    a.send(&frame(2, 1, b"for b"));
    assert_eq!(&b.receive(TEST)[14..19], b"for b");
    a.send(&frame(ALL, 1, b"last"));
    assert_eq!(&other.receive(TEST)[14..18], b"last");

    // Host to node: a connection to the forwarded port makes the gateway ask for the node's address.
    let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let question = a.receive(ARP);
    assert_eq!(&question[28..32], [10, 9, 8, 1], "asked by the gateway");
    assert_eq!(&question[38..42], [10, 9, 8, 10], "for node a");
    drop(connection);

    // A card that went away may come back.
    drop(a);
    let mut a = Card::plug(&lab);
    b.send(&frame(ALL, 2, b"again"));
    assert_eq!(&a.receive(TEST)[14..19], b"again");
    drop((a, b, other));
    lab.down(None, 0, true).unwrap();
    assert_eq!(lab.left_over(), Vec::<String>::new());
}

#[test]
fn the_printed_commands_for_qemu_run_the_machines() {
    if ran_again("the_printed_commands_for_qemu_run_the_machines") {
        return;
    }
    let lab = Lab::new();
    lab.describe('a', "");
    let text = fs::read_to_string(lab.path("cluster.json")).unwrap().replace("22\n", "");
    let cluster = ClusterJson::parse(Path::new("cluster.json"), &text).unwrap();
    // A host may have a KVM that does not work; `up` finds out, a script cannot.
    let script = print(&cluster, Driver::Qemu).replace("  -accel kvm \\\n", "");
    let until = "for i in $(seq 100); do grep -q login: qemu/b/serial.log && break; sleep 0.1; done; cat qemu/*/serial.log";
    let sandbox = Sandbox::new(&lab.root).lend(lab.folder.path(), "/kiln/lab").cwd("/kiln/lab");
    let said = sandbox.run(["sh", "-ec", &format!("{script}\n{until}")]).unwrap();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("tiny login:").count(), 2, "{said}");
}
