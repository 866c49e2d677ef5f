//! What messages about the lock tell people to type, typed as it stands in a project of their own.

#![expect(clippy::disallowed_methods, reason = "what a person types")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use support::{BUILDER, fresh, text};

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
        let hint = said.trim_end().rsplit_once("hint: ").unwrap().1;
        let typed = hint.split('`').skip(1).step_by(2).last().unwrap_or(hint);
        assert!(typed.starts_with(BUILDER), "{hint}");
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
    let typed = said.trim_end().rsplit('`').nth(1).unwrap();
    let (code, said) = shell.run(typed);
    assert_eq!(code, Some(0), "{typed}: {said}");
    fs::remove_dir_all(folder).unwrap();
}
