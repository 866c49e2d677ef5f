//! What messages tell people to type, typed as it stands: about the lock in a project of their own, and about machines by an ordinary user.

#![expect(clippy::disallowed_methods, reason = "what a person types")]

use std::path::PathBuf;
use std::process::Command;

use crate::support::{self, BUILDER, ORDINARY_USER, bare, fresh, make_ordinary_user, run, text};
use fs_err as fs;

/// The last command of a message that has `part` in it: what stands in backticks, else the whole hint.
fn told<'a>(message: &'a str, part: &str) -> &'a str {
    let text = message.trim_end().rsplit_once("hint: ").map_or(message, |(_, hint)| hint);
    let quoted = text.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains(part)).last();
    let command = quoted.unwrap_or(text);
    assert!(command.contains(part), "nothing to type has `{part}`: {message}");
    command
}

/// A shell in a project's folder, whose name has a space, that calls `builder` by its path.
struct Shell(PathBuf);

impl Shell {
    fn run(&self, command: &str) -> (Option<i32>, String) {
        let output = Command::new("bash").args(["-c", command]).current_dir(&self.0).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// `builder` is refused because of `fact`, and once its hint was typed it gets on.
    fn mended(&self, command: &str, fact: &str) {
        let command = format!("{BUILDER} {command}");
        let (code, said) = self.run(&command);
        assert!(code == Some(1) && said.contains(fact), "{command}: {said}");
        let typed = told(&said, BUILDER);
        assert!(typed.starts_with(BUILDER), "{typed}");
        let (code, said) = self.run(typed);
        assert_eq!(code, Some(0), "{typed}: {said}");
        let (code, said) = self.run(&command);
        assert_eq!(code, Some(0), "{command}: {said}");
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.0.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{file} has no `{from}`");
        fs::write(path, before.replacen(from, to, 1)).unwrap();
    }
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn what_messages_about_the_lock_tell_to_type_mends_it() {
    let folder = fresh("my hints");
    let shell = Shell(folder.clone());
    for part in ["images", "recipes", "profiles", "lockfile.toml"] {
        support::run(Command::new("cp").args(["-r", text(&support::project().join(part)), text(&shell.0)]));
    }

    // A recipe asks for a package that the lock does not have.
    shell.edit("images/base/image.toml", "  \"zstd\",\n", "  \"zstd\",\n  \"hello\",\n");
    shell.mended("lock check", "`hello` has no package");

    // Two branches changed the lock.
    let lock = "lockfile.toml";
    shell.edit(lock, "\n[", "\n<<<<<<< ours\n=======\n>>>>>>> theirs\n[");
    let (code, said) = shell.run(&format!("{BUILDER} lock check"));
    assert!(code == Some(1) && said.contains("keep one of the two sides"), "{said}");
    shell.edit(lock, "<<<<<<< ours\n=======\n>>>>>>> theirs\n", "");
    let typed = told(&said, BUILDER);
    let (code, said) = shell.run(typed);
    assert_eq!(code, Some(0), "{typed}: {said}");
    fs::remove_dir_all(folder).unwrap();
}

/// A shell of an ordinary user in a project of his own, whose folder has a space in its name.
struct OrdinaryShell(tempfile::TempDir);

impl OrdinaryShell {
    fn new() -> Self {
        make_ordinary_user();
        let folder = tempfile::Builder::new().prefix("my labs ").tempdir().unwrap();
        bare(folder.path());
        run(Command::new("install").args(["-D", BUILDER, text(&folder.path().join("bin/builder"))]));
        run(Command::new("chown").args(["-R", &format!("{ORDINARY_USER}:"), text(folder.path())]));
        Self(folder)
    }

    fn builder(&self) -> PathBuf {
        self.0.path().join("bin/builder")
    }

    /// Exit code, and all that was printed.
    fn run(&self, command: &str) -> (Option<i32>, String) {
        let mut shell = Command::new("runuser");
        shell.args(["-u", ORDINARY_USER, "--", "env", "-i", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"]);
        shell.arg(format!("HOME={}", self.0.path().display())).args(["bash", "-c", command]);
        let output = shell.current_dir(self.0.path().join("project")).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    fn call(&self, arguments: &str) -> (Option<i32>, String) {
        self.run(&format!("'{}' {arguments}", self.builder().display()))
    }

    fn done(&self, arguments: &str) -> String {
        let (code, said) = self.call(arguments);
        assert_eq!(code, Some(0), "{arguments}: {said}");
        said
    }

    /// The command of a message, which calls this user's program.
    fn told<'a>(&self, message: &'a str, part: &str) -> &'a str {
        let command = told(message, part);
        assert!(command.starts_with(&format!("'{}'", self.builder().display())), "{command}");
        command
    }
}

impl Drop for OrdinaryShell {
    fn drop(&mut self) {
        self.call("down --profile bare --grace 0 --delete");
    }
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn what_messages_tell_an_ordinary_user_to_type_works() {
    let shell = OrdinaryShell::new();
    let nothing = shell.call("up --profile bare");
    assert_eq!(nothing.0, Some(1), "{}", nothing.1);
    let (code, said) = shell.run(shell.told(&nothing.1, " build "));
    assert_eq!(code, Some(0), "{said}");

    // The hint waits for Kubernetes, which this machine has not.
    let (_, never) = shell.call("logs --profile bare server");
    let (_, said) = shell.run(&format!("timeout 60 {}", shell.told(&never, " up ")));
    assert!(said.contains("server: started ("), "{said}");
    let runs = shell.done("up --profile bare --wait login --timeout 900");
    let (code, said) = shell.run(shell.told(&runs, " down "));
    assert_eq!(code, Some(0), "{said}");
    let status = shell.done("status --profile bare --json");
    assert!(!status.contains(r#""running""#), "{status}");
}
