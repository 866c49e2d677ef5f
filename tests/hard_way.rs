//! docs/hard-way.md, typed on the machines that it is about: every command succeeds and shows something.

use crate::lab::{Lab, eventually};
use crate::support::{BUILDER, project, text};

const PROFILE: &str = "kthw";

const PAGE: &str = include_str!("../docs/hard-way.md");

/// So often a command is typed on a machine that still works on what was typed before.
const TRIES: usize = 5;

/// What the page says to type, in its order: the machine, and a line.
fn typed() -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    let mut node = None;
    for line in PAGE.lines() {
        let named = || line.strip_suffix("`:")?.rsplit_once(" on `").map(|(_, node)| node);
        match line.strip_prefix("    ") {
            Some(command) => all.extend(node.map(|node| (node, command))),
            // A blank line stands before the commands.
            None if line.is_empty() => {}
            None => node = named(),
        }
    }
    all
}

/// What a command shows; what is wrong with it else.
fn show(lab: &Lab, node: &str, command: &str) -> Result<String, String> {
    let mut ssh = assert_cmd::Command::new(BUILDER);
    ssh.current_dir(project()).args(["ssh", "--profile", PROFILE, "--out", text(&lab.out)]);
    let output = ssh.args([node, "--", command]).output().unwrap();
    let [said, error] = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    match output.status.success() && !said.trim().is_empty() {
        true => Ok(said),
        false => Err(format!("{node}: {command}\n{}: {said}{error}", output.status)),
    }
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn every_command_of_the_page_shows_something() {
    let typed = typed();
    assert!(typed.len() > 100, "only {} commands were found", typed.len());
    let lab = Lab::build("hard-way", PROFILE);
    let took = lab.up(&[]);
    lab.say(&format!("the machines of Kubernetes the hard way: {took}"));
    // What the first chapters look at is made when the API server is there.
    eventually(|| show(&lab, "server", "systemctl is-active kiln-bootstrap"));
    let mut wrong = Vec::new();
    for (node, command) in typed {
        let mut said = show(&lab, node, command);
        for _ in 1..TRIES {
            if said.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_secs(5));
            said = show(&lab, node, command);
        }
        wrong.extend(said.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    lab.expect_checks();
    lab.down(&["--grace", "0", "--delete"]);
}
