//! `builder lock diff`.

use fs_err as fs;

use crate::project::Project;

/// A project whose lock differs from `old.toml` as said.
fn changed(change: impl Fn(&str) -> String) -> Project {
    let project = Project::new();
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    project.write("old.toml", &lock);
    project.write("lockfile.toml", &change(&lock));
    project
}

fn diff(project: &Project) -> (i32, String, String) {
    project.run(&["lock", "diff", "old.toml"])
}

#[test]
fn the_same_lock_is_no_difference() {
    let project = changed(|lock| format!("{lock}\n# a comment\n"));
    assert_eq!(diff(&project), (0, String::new(), String::new()));
}

#[test]
fn a_package_changes_the_images_that_have_it() {
    let project = changed(|lock| {
        lock.replace("34.2-2", "34.2-3")
            .replace(&"d".repeat(64), &"e".repeat(64))
            .replace("size = 30", "size = 33")
    });
    let (code, stdout, stderr) = diff(&project);
    assert_eq!(code, 1, "{stderr}");
    insta::assert_snapshot!(stdout);
}

#[test]
fn a_component_changes_the_images_of_its_release_and_roles() {
    let tool = changed(|lock| lock.replace(&"1".repeat(64), &"9".repeat(64)));
    insta::assert_snapshot!(diff(&tool).1);
    // No role installs these.
    let others = changed(|lock| {
        lock.replace(
            "busybox = { deb = \"busybox-static\", files = { busybox",
            "box = { deb = \"busybox-static\", files = { busybox",
        )
        .replace("program = \"busybox:", "program = \"box:")
        .replace("v1.36.2/", "v1.36.3/")
        .replace("hello = \"bbbb", "hello = \"cbbb")
    });
    let (code, stdout, _) = diff(&others);
    assert_eq!(code, 1);
    insta::assert_snapshot!(stdout);
}

#[test]
fn a_release_that_comes_or_goes_is_named() {
    let project = changed(|lock| lock.replace("release.upstream", "release.later"));
    insta::assert_snapshot!(diff(&project).1);
}

#[test]
fn the_difference_is_there_as_json_and_from_standard_input() {
    let project = changed(|lock| lock.replace("34.2-2", "34.2-3"));
    let mut command = assert_cmd::Command::cargo_bin("builder").unwrap();
    let old = fs::read(project.path("old.toml")).unwrap();
    let args = ["lock", "diff", "-", "lockfile.toml", "--json"];
    let output =
        command.env_clear().current_dir(project.path("")).args(args).write_stdin(old).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["changes"][0]["what"], "deb trixie kmod amd64");
    assert!(json["changes"][0]["after"].as_str().unwrap().starts_with("34.2-3 ("), "{json}");
    // Another version of the same bytes is no other image.
    assert_eq!(json["images"].as_array().map(Vec::len), Some(0), "{json}");
}

#[test]
fn a_lock_that_is_none_is_named() {
    let project = changed(str::to_owned);
    project.write("old.toml", "version = 1\n");
    let (code, stdout, stderr) = diff(&project);
    assert!(code == 1 && stdout.is_empty() && stderr.contains("old.toml"), "{stderr}");
}
