//! The program itself: what goes to which stream, and its exit codes.

#![expect(clippy::disallowed_methods, reason = "the program is what is tested")]

mod support;

use std::process::{Command, Output};

use fs_err as fs;
use support::World;

fn firstboot(world: &World, more: &[&str]) -> Output {
    let path = |path| world.path(path).into_os_string();
    Command::new(env!("CARGO_BIN_EXE_firstboot"))
        .args(["--root".into(), path("root"), "--cmdline".into(), path("cmdline")])
        .args(["--sys".into(), path("sys"), "--identity".into(), path("identity")])
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
