//! What `builder lock outdated` asks upstream. What it asks the archive is what `lock update` asks, and needs one.

use builder::lock::upstream::{Newer, newer};
use builder::lockfile::Lock;
use builder::mirror::Mirrors;

use crate::fetch::web::Site;
use crate::project::Project;

/// The lock of the project with a component of each publisher.
fn lock(project: &Project) -> Lock {
    let text = std::fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let sum = "7".repeat(64);
    let runc = format!(
        "[[release.upstream.component.runc.url]]\n\
         urls = [\"https://github.com/opencontainers/runc/releases/download/v1.4.3/runc.{{arch}}\"]\n\
         sha256 = {{ amd64 = \"{sum}\" }}\nfile = \"runc\"\n\n[deb]"
    );
    let text = text.replace("https://dl.example/", "https://dl.k8s.io/").replace("[deb]", &runc);
    Lock::parse(&project.path("lockfile.toml"), &text).unwrap()
}

fn asked(kubernetes: &'static str, runc: &'static str) -> (Vec<Newer>, Vec<String>, Vec<String>) {
    let project = Project::new();
    let site = Site::new(Box::new(move |(target, _)| match target.as_str() {
        "/k8s/release/stable-1.36.txt" => ("200 OK".to_owned(), kubernetes.as_bytes().to_vec()),
        "/gh/opencontainers/runc/releases/latest" => {
            (format!("302 Found\r\nLocation: /gh/tag/{runc}"), Vec::new())
        }
        target if target.starts_with("/gh/tag/") => ("200 OK".to_owned(), b"a page".to_vec()),
        _ => ("404 Not Found".to_owned(), Vec::new()),
    }));
    let mirrors = Mirrors::default()
        .redirecting("https://dl.k8s.io", &format!("{}/k8s", site.url))
        .redirecting("https://github.com", &format!("{}/gh", site.url));
    let (newer, failed) = newer(&lock(&project), &mirrors);
    (newer, failed, site.targets())
}

#[test]
fn a_newer_version_is_named_and_each_publisher_asked_once() {
    let (newer, failed, targets) = asked("v1.36.4\n", "v1.4.3");
    let (release, component) = ("upstream".to_owned(), "kubernetes".to_owned());
    let (pinned, newest) = ("1.36.2".to_owned(), "1.36.4".to_owned());
    assert_eq!(newer, [Newer { release, component, pinned, newest }]);
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(
        targets,
        ["/gh/opencontainers/runc/releases/latest", "/gh/tag/v1.4.3", "/k8s/release/stable-1.36.txt"]
    );
    // As numbers, not as text.
    assert_eq!(asked("v1.36.10\n", "v1.3.9").0[0].newest, "1.36.10");
}

#[test]
fn an_answer_that_is_no_version_is_a_note() {
    let (newer, failed, _) = asked("<html>", "nightly");
    assert_eq!((newer.len(), failed.len()), (0, 2));
    assert!(failed[0].contains("release/stable-1.36.txt tells no version"), "{failed:?}");
}
