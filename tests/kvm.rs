//! This machine's /dev/kvm, whatever it does: absent, refused, running firmware and no kernel, or sound. A machine comes
//! up, and `builder doctor` tells the truth.

use std::path::Path;

use crate::support::{self, bare, builder, fresh, secret, text};

#[test]
fn a_machine_comes_up_and_doctor_tells_the_truth() {
    let out = fresh("kvm");
    let lab = Lab { project: &bare(&out), out: &out };
    lab.run("build", &["--secret", text(&secret(&out, 7))]);
    // A processor without anything new: where QEMU refuses the host's own, firmware may yet run with it, and no kernel.
    lab.run("up", &["--wait", "login", "--timeout", "900", "--", "-cpu", "qemu64"]);
    let console = lab.run("logs", &["server"]);
    assert!(console.contains("firstboot: server: applied "), "{console}");
    lab.run("down", &["--grace", "0"]);

    // Now the store has what doctor tries. Who asks for KVM gets it, or is told at once why not.
    let doctor = builder(&["--project", text(lab.project), "doctor"]);
    let line = doctor.lines().find(|line| line.contains(" virtualisation: ")).unwrap();
    let mut up = assert_cmd::Command::new(support::BUILDER);
    let up = up.args(lab.args("up")).args(["--accel", "kvm", "--wait", "login", "--timeout", "900"]);
    let output = up.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        assert_eq!(line, "ok       virtualisation: KVM runs the kernel");
    } else {
        assert!(line.starts_with("weak     virtualisation: machines will be emulated"), "{line}");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("error: hardware virtualisation does not work on this host: "), "{said}");
        assert!(said.contains("\n\nhint: use `--accel tcg`"), "{said}");
    }
}

/// A project of one bare machine, and the folder above its results.
struct Lab<'a> {
    project: &'a Path,
    out: &'a Path,
}

impl Lab<'_> {
    fn args<'a>(&'a self, command: &'a str) -> [&'a str; 7] {
        ["--project", text(self.project), command, "--profile", "bare", "--out", text(self.out)]
    }

    fn run(&self, command: &str, arguments: &[&str]) -> String {
        builder(&[&self.args(command), arguments].concat())
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        let mut down = assert_cmd::Command::new(support::BUILDER);
        let _ = down.args(self.args("down")).args(["--grace", "0"]).output();
    }
}
