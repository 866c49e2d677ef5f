//! The program itself: what goes to which stream, and its exit codes.

#![expect(clippy::disallowed_methods, reason = "the program is what is tested")]

use std::process::{Command, Output};

use crate::support::World;
use firstboot::record::Record;
use fs_err as fs;

fn firstboot(world: &World, more: &[&str]) -> Output {
    let path = |path| world.path(path).into_os_string();
    Command::new(env!("CARGO_BIN_EXE_firstboot"))
        .args(["--root".into(), path("root"), "--cmdline".into(), path("cmdline")])
        .args(["--sys".into(), path("sys"), "--identity".into(), path("identity")])
        .args(["--dev".into(), path("dev")])
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn the_record_goes_to_the_console_and_the_plan_to_standard_output() {
    let world = World::node_0();
    let planned = firstboot(&world, &["--dry-run"]);
    assert!(planned.status.success() && planned.stderr.is_empty());
    assert!(planned.stdout.starts_with(b"folder /etc 0755"), "{:?}", String::from_utf8(planned.stdout));
    let applied = firstboot(&world, &[]);
    assert!(applied.status.success() && applied.stdout.is_empty());
    assert!(applied.stderr.starts_with(b"firstboot: node-0: hostname node-0 ("));
    assert_eq!(firstboot(&world, &[]).stderr, b"firstboot: node-0 is up to date\n");
}

#[test]
fn by_hand_it_has_the_credentials_of_the_service() {
    let world = World::with_card("enp1s0", "52:54:00:aa:bb:cc");
    world.put("root/run/credentials/kiln-firstboot.service/kiln.node", b"node-1");
    let planned = firstboot(&world, &["--dry-run"]);
    assert!(String::from_utf8(planned.stdout).unwrap().contains("host name node-1"));
}

#[test]
fn status_shows_the_record() {
    let world = World::node_0();
    let root = world.root().into_os_string().into_string().unwrap();
    let status = |more: &[&str]| {
        let args = ["status", "--root", &root];
        Command::new(env!("CARGO_BIN_EXE_firstboot")).args(args).args(more).output().unwrap()
    };
    let none = status(&[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(none.stderr.starts_with(b"firstboot: this machine is not configured"));
    world.seed(&[
        ("meta-data", "instance-id: i-1"),
        ("user-data", "#cloud-config\nhostname: blue\nruncmd: [x]\n"),
    ]);
    assert!(firstboot(&world, &[]).status.success());
    insta::assert_snapshot!(String::from_utf8(status(&[]).stdout).unwrap(), @"
    node node-0
    hostname blue (NoCloud, user-data, hostname)
    card 52:54:00:6b:00:0b (node table, by MAC 52:54:00:6b:00:0b)
    address 192.168.122.11/24 (node table, by MAC 52:54:00:6b:00:0b)
    gateway 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    dns 192.168.122.1 (node table, by MAC 52:54:00:6b:00:0b)
    pod-cidr 10.200.0.0/24 (node table, by MAC 52:54:00:6b:00:0b)
    routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.1.0/24 via 192.168.122.12 (node-1) (node table)
    instance-id i-1 (NoCloud, meta-data, instance-id)
    ignored NoCloud, user-data, runcmd
    identity taken, 2 files
    files 7
    ");
    let json = status(&["--json"]);
    assert!(json.status.success());
    let record = world.root().join("var/lib/kiln/firstboot.json");
    let text = fs::read_to_string(&record).unwrap();
    assert_eq!(String::from_utf8(json.stdout).unwrap(), text);
    let plan = Record::read(&world.root()).unwrap().unwrap().plan;
    fs::write(record, text.replace(&plan, "")).unwrap();
    assert!(status(&[]).stdout.starts_with(b"not complete: "));
}

#[test]
fn wrong_input_ends_with_1() {
    let world = World::node_0();
    assert_eq!(firstboot(&world, &["--dri-run"]).status.code(), Some(1));
    world.cmdline("kiln.nod=node-0");
    let refused = firstboot(&world, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.starts_with(b"firstboot: kernel command line: unknown key `kiln.nod`"));
}

#[test]
fn a_disk_that_cannot_be_written_ends_with_2() {
    let world = World::node_0();
    fs::create_dir_all(world.root().join("etc/hosts")).unwrap();
    let failed = firstboot(&world, &[]);
    assert_eq!(failed.status.code(), Some(2), "{:?}", String::from_utf8(failed.stderr));
    assert!(!world.root().join("etc/hostname").exists() && !world.is_wiped());
}
