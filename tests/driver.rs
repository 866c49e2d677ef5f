//! Machines that really run: QEMU from the project's lock, and a boot sector that speaks on the serial port and obeys
//! the power button. They fetch the root `qemu` into the store.

mod card;
mod hints;
mod kvm;
mod lab;

use crate::again::ran_again;
use std::net::TcpStream;
use std::path::Path;

use builder::driver::{DriverError, Running, Stage, StatusReport, UpRequest, named, print, status, up};
use builder::ground::progress::Progress;
use builder::results::cluster::ClusterJson;
use builder::sandbox::Sandbox;
use card::Card;
use fs_err as fs;
use lab::Lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn machines_come_up_and_leave_nothing_behind() {
    if ran_again("driver::machines_come_up_and_leave_nothing_behind") {
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

    // After another build the machines go on with their own disks, over the images that those were made from.
    let older = |report: &StatusReport| report.nodes.iter().map(|node| node.older).collect::<Vec<_>>();
    let images = || fs::read_dir(lab.path("images")).unwrap().count();
    lab.describe('b', "22,6443");
    assert_eq!(older(&lab.up(None).unwrap()), [true, true]);
    lab.down(Some("b"), 0, true).unwrap();
    assert_eq!((older(&lab.up(None).unwrap()), images()), (vec![true, false], 2));
    lab.down(Some("a"), 0, true).unwrap();
    assert_eq!((older(&lab.up(None).unwrap()), images()), (vec![false, false], 1));
    // A control plane's disk holds what is nowhere else; a worker gets a new one when it is asked for.
    lab.describe('c', "22,6443");
    let replace = |node| {
        up(
            named("qemu").unwrap(),
            &UpRequest { node: Some(node), replace: true, ..lab.request() },
            &Progress::new(),
        )
    };
    let error = replace("a").unwrap_err();
    assert!(error.to_string().contains("its member of etcd"), "{error}");
    lab.down(Some("a"), 0, false).unwrap();
    assert_eq!(older(&replace("b").unwrap()), [true, false]);
    lab.down(None, 0, false).unwrap();
    fs::remove_file(lab.path(&format!("images/{}.qcow2", "b".repeat(64)))).unwrap();
    let error = lab.up(Some("a")).unwrap_err();
    assert!(matches!(error, DriverError::NoImageBelow { .. }), "{error}");
    lab.down(None, 0, true).unwrap();
    assert!(!lab.path("run").exists());
    assert_eq!(lab.left_over(), Vec::<String>::new());
}

#[test]
fn a_machine_that_cannot_start_is_told_with_its_own_words() {
    if ran_again("driver::a_machine_that_cannot_start_is_told_with_its_own_words") {
        return;
    }
    let lab = Lab::new();
    lab.up(Some("a")).unwrap();
    lab.down(None, 0, false).unwrap();
    let mut disk = fs::read(lab.path("run/a/disk.qcow2")).unwrap();
    disk[7] = 9;
    fs::write(lab.path("run/a/disk.qcow2"), disk).unwrap();
    let error = lab.up(Some("a")).unwrap_err().to_string();
    assert!(error.starts_with("QEMU for `a` did not start; it said:\n"), "{error}");
    assert!(error.contains("qcow2 version 9"), "{error}");
    lab.down(None, 0, true).unwrap();
    assert_eq!(lab.left_over(), Vec::<String>::new());
}

#[test]
fn the_switch_joins_the_nodes_and_the_forwarded_ports() {
    const TEST: u16 = 0x88b5; // IEEE 802: local experiments
    const ARP: u16 = 0x0806;
    const ALL: u8 = 0xff;
    if ran_again("driver::the_switch_joins_the_nodes_and_the_forwarded_ports") {
        return;
    }
    let lab = Lab::new();
    let port = lab.up(Some("a")).unwrap().nodes[0].ports[&6443];
    // Only the network stays; the test takes the places of the machines.
    let pid = status(&lab.folder).unwrap().nodes[0].pid.unwrap();
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
    if ran_again("driver::the_printed_commands_for_qemu_run_the_machines") {
        return;
    }
    let lab = Lab::new();
    lab.describe('a', "");
    let text = fs::read_to_string(lab.path("cluster.json")).unwrap().replace("22\n", "");
    let cluster = ClusterJson::parse(Path::new("cluster.json"), &text).unwrap();
    // A host may have a KVM that does not work; `up` finds out, a script cannot.
    let script = print(&cluster, named("qemu").unwrap()).unwrap().replace("  -accel kvm \\\n", "");
    let until = "for i in $(seq 100); do grep -q login: qemu/b/serial.log && break; sleep 0.1; done; cat qemu/*/serial.log";
    let sandbox = Sandbox::new(&lab.root).lend(&lab.folder, "/kiln/lab").cwd("/kiln/lab");
    let said = sandbox.run(["sh", "-ec", &format!("{script}\n{until}")]).unwrap();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("tiny login:").count(), 2, "{said}");
}
