//! What messages about machines tell people to type, typed as it stands: with the program as it was called, from the same folder, for
//! results in a folder with spaces.

#![expect(clippy::disallowed_methods, reason = "what a person types")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use builder::driver::Running;
use fs_err as fs;

use super::lab::{Lab, boot_sector};
use crate::again::ran_again;

/// A shell in Kiln's folder, and a cluster whose results lie in a folder with spaces.
struct Shell(Lab);

impl Shell {
    /// `builder` by its path, as after `cargo build`: exit code, and what it printed.
    fn builder(&self, words: &[&str]) -> (i32, String) {
        let mut builder = Command::new(env!("CARGO_BIN_EXE_builder"));
        let results = ["--profile", "lab", "--out", self.0.out().to_str().unwrap()];
        Self::run(builder.args(&words[..1]).args(results).args(&words[1..]))
    }

    fn run(command: &mut Command) -> (i32, String) {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let output = command.current_dir(project).process_group(0).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// Types the command of a message that has `part` in it, as it stands, and gives it some seconds.
    fn type_command(&self, message: &str, part: &str, seconds: &str) -> (i32, String) {
        let mut lines = message.lines().rev().filter(|line| line.contains(part));
        let line = lines.next().unwrap_or_else(|| panic!("nothing has `{part}`: {message}"));
        let quoted = line.split('`').skip(1).step_by(2).find(|quoted| quoted.contains(part));
        let whole =
            || line.rsplit_once("hint: ").or_else(|| line.rsplit_once("fix: ")).map(|(_, whole)| whole);
        let command = quoted.or_else(whole).unwrap_or_else(|| panic!("no command: {line}"));
        assert!(command.starts_with('/') && command.contains("'"), "neither path nor quotes: {command}");
        Self::run(Command::new("timeout").args([seconds, "bash", "-c", command]))
    }

    fn follow(&self, message: &str, part: &str) -> String {
        let (code, said) = self.type_command(message, part, "120");
        assert_eq!(code, 0, "{said}");
        said
    }

    /// The command starts the machines. It waits for their API server in vain: they have none.
    fn start(&self, message: &str, part: &str) {
        let (_, said) = self.type_command(message, part, "120");
        assert!(said.contains(": started (") && said.contains("admin.kubeconfig"), "{said}");
        self.0.wait_for_states([Running::Running; 3]);
    }

    fn refused(&self, words: &[&str]) -> String {
        let (code, said) = self.builder(words);
        assert!(code != 0, "{words:?}: {said}");
        said
    }

    fn done(&self, words: &[&str]) -> String {
        let (code, said) = self.builder(words);
        assert_eq!(code, 0, "{words:?}: {said}");
        said
    }
}

#[test]
fn what_messages_about_machines_tell_to_type_works() {
    if ran_again("driver::hints::what_messages_about_machines_tell_to_type_works") {
        return;
    }
    let shell = Shell(Lab::new());
    let lab = &shell.0;
    // What is typed tries KVM; the rest need not.
    let up = ["up", "--wait", "login", "--accel", "tcg"];

    // Nothing was ever started.
    shell.start(&shell.refused(&["logs", "a"]), " up ");
    // What runs says how it ends.
    let runs = shell.done(&up);
    shell.follow(&runs, " down ");
    shell.start(&shell.refused(&["ssh", "a"]), " up ");

    // What looks at nodes that do not run.
    shell.done(&["down", "--grace", "0"]);
    let (code, checks) = shell.builder(&["status", "--checks"]);
    assert_eq!(code, 2, "{checks}");
    shell.start(&checks, " up ");

    // The network became another one, and the image a newer one. Of a control plane nothing is given up by accident.
    lab.describe('b', "22,6443,8080");
    shell.start(&shell.refused(&up), " down ");
    let older = shell.done(&up);
    // Its pods would be moved away first, and here nobody answers who could.
    let (code, said) = shell.type_command(&older, "--replace b", "120");
    assert!(code == 2 && said.contains("on `a` this failed: kubectl"), "{said}");
    let keeps = shell.refused(&["up", "--replace", "a"]);
    shell.follow(&keeps, "--delete");
    shell.done(&up);

    // An image below a disk is lost.
    lab.describe('c', "22,6443,8080");
    shell.done(&["down", "--grace", "0"]);
    fs::remove_file(lab.path(&format!("images/{}.qcow2", "b".repeat(64)))).unwrap();
    let lost = shell.refused(&[&up[..], &["--node", "a"]].concat());
    shell.follow(&lost, "--delete");
    shell.done(&["down", "--grace", "0", "--delete"]);
}

#[test]
fn what_messages_about_a_boot_that_fails_tell_to_type_works() {
    if ran_again("driver::hints::what_messages_about_a_boot_that_fails_tell_to_type_works") {
        return;
    }
    // It says nothing, and its processor stands still.
    let silent = Shell(Lab::of(&boot_sector(&[0xf4], ["", ""])));
    let waited =
        silent.refused(&["up", "--wait", "login", "--timeout", "2", "--node", "a", "--accel", "tcg"]);
    // Who follows a console ends it.
    let (code, said) = silent.type_command(&waited, "--follow", "3");
    assert_eq!(code, 124, "{said}");
    silent.done(&["down", "--grace", "0", "--delete"]);
}
