//! Builds that are killed while they publish: whoever looks at the results sees a whole set, the old one or the new one.

#![expect(clippy::disallowed_methods, reason = "builders that are killed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{self, BUILDER, PROFILE, fresh, project, secret, text};
use builder::ground::repro::sha256_hex;
use fs_err as fs;

/// How many builds are killed.
const KILLS: u64 = 30;

/// Milliseconds within which that happens, once a build has begun with its set: writing the images takes most of them.
const LONGEST: u64 = 3000;

/// What a person finds among the results, each file by its hash.
type Found = BTreeMap<PathBuf, String>;

fn start(out: &Path, byte: u8) -> Child {
    let secret = secret(out, byte);
    let mut command = Command::new(BUILDER);
    command.current_dir(project()).args(["build", "--profile", PROFILE, "--identity", "baked"]);
    command.args(["--out", text(out), "--secret", text(&secret)]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn build(out: &Path, byte: u8) -> Found {
    assert!(start(out, byte).wait().unwrap().success());
    found(&out.join(PROFILE))
}

fn found(results: &Path) -> Found {
    let mut found = Found::new();
    for entry in fs::read_dir(results).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with('.') && path.is_file() {
            found.insert(PathBuf::from(name), sha256_hex(fs::read(path).unwrap()));
        }
    }
    found
}

fn has_begun(results: &Path) -> bool {
    let names = fs::read_dir(results).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with(".new-"))
}

/// `KILN_SEED` repeats a run.
#[test]
#[ignore = "minutes: `./test long` runs it"]
#[expect(clippy::print_stderr, reason = "the seed repeats a run that failed")]
fn a_build_that_is_killed_while_it_publishes_leaves_a_whole_set() {
    let seed = std::env::var("KILN_SEED").unwrap_or_else(|_| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        hex::encode(bytes)
    });
    eprintln!("KILN_SEED={seed}");
    support::store();
    let out = fresh("publishing");
    let results = out.join(PROFILE);
    let mut holds = build(&out, 1);
    let other = build(&out, 2);
    assert!(holds.len() == 6 && holds.keys().eq(other.keys()) && holds != other, "{holds:?}");
    let sets = [holds.clone(), other.clone()];
    holds = other;
    let (mut rounds, mut killed, mut new) = (0, 0, 0);
    while killed < KILLS {
        assert!(rounds < 4 * KILLS, "{killed} builds of {rounds} were killed before they were through");
        // The set that does not hold now is made.
        let next = usize::from(holds == sets[0]);
        let mut child = start(&out, next as u8 + 1);
        while !has_begun(&results) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let random = u64::from_str_radix(&sha256_hex(format!("{seed} {rounds}"))[..12], 16).unwrap();
        std::thread::sleep(Duration::from_millis(random % LONGEST));
        child.kill().unwrap();
        killed += u64::from(!child.wait().unwrap().success());
        let now = found(&results);
        assert!(sets.contains(&now), "round {rounds}: {now:?}\nis neither of {sets:?}");
        new += u64::from(now != holds);
        holds = now;
        rounds += 1;
    }
    eprintln!("{killed} builds of {rounds} were killed; {new} times the new set held");
    assert_eq!(build(&out, 1), sets[0]);
    assert_eq!(fs::read_dir(results.join("sets")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(results.join("images")).unwrap().count(), 2);
    fs::remove_dir_all(out).unwrap();
}
