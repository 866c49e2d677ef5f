//! `builder lock add`.

use std::path::Path;

use builder::ground::arch::Arch;
use builder::ground::repro::sha256_hex;
use builder::lockfile::Lock;
use builder::lockfile::format::Component;
use fs_err as fs;

use crate::fetch::web::Site;
use crate::project::Project;

/// A project with a file that somebody publishes, for two architectures.
fn publishing() -> (Project, String) {
    let project = Project::new();
    project.write("srv/thing-amd64", "one thing");
    project.write("srv/thing-arm64", "another thing");
    let url = format!("file://{}/thing-{{arch}}", project.path("srv").display());
    (project, url)
}

fn lock(project: &Project) -> String {
    fs::read_to_string(project.path("lockfile.toml")).unwrap()
}

fn add(project: &Project, url: &str, args: &[&str]) -> (i32, String, String) {
    project.run(&[&["lock", "add", "thing", url, "--release", "upstream"], args].concat())
}

#[test]
fn a_file_becomes_an_entry_and_everything_else_stays() {
    let (project, url) = publishing();
    let before = lock(&project);
    let (code, stdout, stderr) =
        add(&project, &url, &["--file", "thing", "--arch", "amd64", "--arch", "arm64"]);
    assert_eq!(code, 0, "{stderr}");
    let [one, other] = ["one thing", "another thing"].map(sha256_hex);
    let listed = |arch: &str| url.replace("{arch}", arch);
    assert_eq!(stdout, format!("sha256:{one}  {}\nsha256:{other}  {}\n", listed("amd64"), listed("arm64")));
    assert!(stderr.contains("nobody but the server vouches"), "{stderr}");

    let after = lock(&project);
    let kept: Vec<&str> = before.lines().collect();
    let mut rest = after.lines().filter(|line| !kept.contains(line));
    assert_eq!(rest.next(), Some("[[release.upstream.component.thing.url]]"));
    assert!(kept.iter().all(|line| after.contains(line)), "{after}");
    let parsed = Lock::parse(Path::new("lockfile.toml"), &after).unwrap();
    let Component::Url(downloads) = &parsed.release["upstream"].component["thing"] else { panic!("{after}") };
    let [download] = downloads.as_slice() else { panic!("{after}") };
    assert_eq!(download.hash(Arch::Arm64).unwrap().as_str(), other);
    assert_eq!((download.size[&Arch::Amd64], download.file.as_deref()), (9, Some("thing")));
    // A build needs no network for it.
    assert_eq!(fs::read(project.path("store/files").join(one)).unwrap(), b"one thing");

    let (code, _, stderr) =
        add(&project, &url, &["--files", "a=bin/a", "--files", "b=bin/b", "--arch", "arm64"]);
    assert_eq!(code, 0, "{stderr}");
    let parsed = Lock::load(&project.path("lockfile.toml")).unwrap();
    let Component::Url(downloads) = &parsed.release["upstream"].component["thing"] else { panic!() };
    assert_eq!(downloads.len(), 2);
    assert_eq!(downloads[1].files["b"], "bin/b");
}

#[test]
fn a_published_checksum_decides() {
    let (project, url) = publishing();
    let sums = format!("file://{}", project.path("srv/SHA256SUMS").display());
    let args = ["--file", "thing", "--checksums", &sums];
    project.write("srv/SHA256SUMS", &format!("{}  thing-amd64\n", sha256_hex("one thing")));
    let before = lock(&project);
    let (code, _, stderr) = add(&project, &url, &args);
    assert!(code == 0 && !stderr.contains("vouches"), "{stderr}");

    project.write("lockfile.toml", &before);
    project.write("srv/SHA256SUMS", &format!("{}  thing-amd64\n", sha256_hex("something else")));
    let (code, stdout, stderr) = add(&project, &url, &args);
    assert!(code == 2 && stdout.is_empty(), "{stderr}");
    assert!(stderr.contains("thing-amd64: the checksum is not the published one"), "{stderr}");
    project.write("srv/SHA256SUMS", &format!("{}  another\n", sha256_hex("one thing")));
    let (code, _, stderr) = add(&project, &url, &args);
    assert!(code == 1 && stderr.contains("has no SHA-256 or SHA-512 of `thing-amd64`"), "{stderr}");
    assert_eq!(lock(&project), before);
}

#[test]
fn what_cannot_be_added_is_refused_before_anything_is_downloaded() {
    let (project, _) = publishing();
    let before = lock(&project);
    // Nobody listens there.
    let url = "http://127.0.0.1:9/thing-{arch}";
    for (args, text) in [
        (
            &["tool", url, "--release", "upstream", "--file", "x"][..],
            "the component `tool` of the release `upstream` has no `url`",
        ),
        (&["thing", url, "--release", "nowhere", "--file", "x"], "there is no release `nowhere`"),
        (&["kubernetes", url, "--release", "upstream", "--file", "kubelet"], "kubelet"),
        (&["thing", "ftp://host.example/x", "--release", "upstream", "--file", "x"], "ftp://host.example/x"),
        (&["thing", url, "--release", "upstream"], "required"),
        (&["thing", url, "--release", "upstream", "--files", "x"], "NAME=PATH"),
    ] {
        let (code, stdout, stderr) = project.run(&[&["lock", "add"], args].concat());
        assert!(code == 1 && stdout.is_empty() && stderr.contains(text), "{args:?}: {code} {stderr}");
    }
    let (code, _, stderr) = add(&project, url, &["--file", "thing"]);
    assert!(code == 2 && stderr.contains("fetching thing-amd64"), "{stderr}");
    assert_eq!(lock(&project), before);
}

#[test]
fn what_somebody_wrote_during_a_download_is_not_lost() {
    let (project, _) = publishing();
    let (path, edited) = (project.path("lockfile.toml"), format!("{}# a remark\n", lock(&project)));
    let text = edited.clone();
    let site = Site::new(Box::new(move |_| {
        fs::write(&path, &text).unwrap();
        ("200 OK".to_owned(), b"one thing".to_vec())
    }));
    let url = format!("{}/thing", site.url);
    let (code, stdout, stderr) = add(&project, &url, &["--file", "thing"]);
    assert!(code == 1 && stdout.is_empty(), "{stderr}");
    assert!(stderr.contains("lockfile.toml was changed meanwhile"), "{stderr}");
    assert!(stderr.contains("hint: run the same command again"), "{stderr}");
    assert_eq!(lock(&project), edited);
    assert_eq!(add(&project, &url, &["--file", "thing"]).0, 0);
    assert!(lock(&project).contains("# a remark"));
}
