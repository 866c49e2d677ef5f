//! Builders that are killed, and builders that run at the same time, on one store: against a slow server of this
//! host, and where renames are slow, too.

#![expect(clippy::disallowed_methods, reason = "two builders at once, one that is killed, and a C compiler")]

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fs_err as fs;

use super::slow::serve;
use crate::project::Project;

/// Large enough that a fetch takes a while.
const SIZE: usize = 3 << 20;

/// After each piece that the server sends.
const PAUSE: Duration = Duration::from_millis(8);

/// A rename that takes a third of a second, half of it before it and half after it; it leaves a mark that it ran.
const SLOW_RENAME: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    close(open(getenv("RENAMED"), O_CREAT | O_WRONLY, 0600));
    usleep(150000);
    int outcome = real(from, to);
    usleep(150000);
    return outcome;
}
"#;

fn fetch(project: &Project, mirror: &str, env: &[(&str, &str)]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder"));
    command.env_clear().envs(env.iter().copied());
    command.current_dir(project.path("")).stderr(Stdio::null()).stdin(Stdio::null());
    command
        .args(["fetch", "--profile", "small", "--store", "store", "--debian-mirror", mirror])
        .spawn()
        .unwrap()
}

/// Kills fetches at moments from before the first byte to the end, in no order; the store is clean after each.
fn kill_twenty(project: &Project, mirror: &str, env: &[(&str, &str)]) {
    for round in 0_u64..20 {
        let mut child = fetch(project, mirror, env);
        thread::sleep(Duration::from_millis(5 + round * 37 % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        if project.path("store/in-use").exists() {
            let (code, _, stderr) = project.run(&["store", "verify"]);
            assert_eq!(code, 0, "after {round}: {stderr}");
        }
    }
}

fn is_clean_and_full(project: &Project) {
    let (code, _, stderr) = project.run(&["store", "verify"]);
    assert!(code == 0 && stderr.contains("3 files and 0 steps: 0 removed"), "{stderr}");
    let left = fs::read_dir(project.path("store/tmp")).unwrap().count();
    assert_eq!(left, 0, "unfinished files");
}

#[test]
fn a_fetch_that_is_killed_again_and_again_leaves_a_clean_store() {
    let project = Project::large(SIZE);
    let (mirror, asked) = serve(&project.path("mirror/debian"), PAUSE);
    kill_twenty(&project, &mirror, &[]);
    assert!(fetch(&project, &mirror, &[]).wait().unwrap().success());
    is_clean_and_full(&project);
    assert!(asked.lock().unwrap().len() > 2, "every kill came before the first request");
}

fn both_download_once(project: &Project, env: &[(&str, &str)]) {
    let (mirror, asked) = serve(&project.path("mirror/debian"), PAUSE);
    let mut both = [fetch(project, &mirror, env), fetch(project, &mirror, env)];
    for child in &mut both {
        assert!(child.wait().unwrap().success());
    }
    is_clean_and_full(project);
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["pool/main/h/hello/hello_1.0-1.dsc", "pool/main/k/kmod/kmod_34.2-2_amd64.deb"]);
}

#[test]
fn two_builders_at_once_download_everything_once() {
    both_download_once(&Project::large(SIZE), &[]);
}

#[test]
fn renames_that_take_long_change_nothing_of_that() {
    let project = Project::large(SIZE);
    project.write("slow.c", SLOW_RENAME);
    let [source, library, mark] = ["slow.c", "slow.so", "renamed"].map(|name| project.path(name));
    let mut compile = Command::new("cc");
    assert!(compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap().success());
    let env = [("LD_PRELOAD", library.to_str().unwrap()), ("RENAMED", mark.to_str().unwrap())];
    both_download_once(&project, &env);
    assert!(mark.exists(), "no rename was slow");

    // Only the small file is missing: kills meet its rename.
    let (mirror, _) = serve(&project.path("mirror/debian"), PAUSE);
    let [_, small, _] = project.entries();
    fs::remove_file(project.path("store").join(small)).unwrap();
    kill_twenty(&project, &mirror, &env);
    assert!(fetch(&project, &mirror, &env).wait().unwrap().success());
    is_clean_and_full(&project);
}
