//! `builder lock audit`.

use fs_err as fs;

use crate::project::Project;

const FEED: &str = r#"[
  {"id": "DEBIAN-CVE-2026-1", "affected": [
    {"package": {"ecosystem": "Debian:13", "name": "kmod"},
     "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "34.2-3"}]}]}]},
  {"id": "DSA-1-1", "aliases": ["CVE-2026-1"], "affected": [
    {"package": {"ecosystem": "Debian:13", "name": "kmod"},
     "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "34.2-3"}, {"introduced": "0"}]}]}]},
  {"id": "CVE-2026-2", "affected": [
    {"package": {"ecosystem": "Debian:13", "name": "kmod"},
     "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "34.2-2"}]}]}]},
  {"id": "CVE-2026-3", "affected": [
    {"package": {"ecosystem": "Debian:12", "name": "kmod"},
     "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]},
  {"id": "CVE-2026-4", "withdrawn": "2026-01-01T00:00:00Z", "affected": [
    {"package": {"ecosystem": "Debian:13", "name": "kmod"}, "versions": ["34.2-2"]}]},
  {"id": "CVE-2026-5", "affected": [
    {"package": {"ecosystem": "Debian:13", "name": "hello"}, "versions": ["1.0-1"]}]},
  {"id": "GHSA-x", "aliases": ["CVE-2026-6"], "affected": [
    {"package": {"ecosystem": "Go", "name": "k8s.io/kubernetes/pkg/kubelet"},
     "ranges": [{"type": "SEMVER", "events": [
       {"introduced": "0"}, {"fixed": "1.35.9"}, {"introduced": "1.36.0"}, {"fixed": "1.36.3"}]}]}]},
  {"id": "GO-1", "affected": [
    {"package": {"ecosystem": "Go", "name": "k8s.io/kubernetes"},
     "ranges": [{"type": "SEMVER", "events": [{"introduced": "1.36.0"}, {"last_affected": "1.36.1"}]},
                {"type": "GIT", "events": [{"introduced": "0"}]}]}]}
]"#;

/// A project with both kinds of publisher, a release of which is supported for ever.
fn project() -> Project {
    let project = Project::new();
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let lock = lock.replace("2027-06-28", "9999-12-31").replace("https://dl.example/", "https://dl.k8s.io/");
    project.write("lockfile.toml", &lock);
    project.write("feed.json", FEED);
    project
}

#[test]
fn what_is_known_is_named_with_what_uses_it() {
    let project = project();
    let (code, stdout, stderr) = project.run(&["lock", "audit", "--osv", "feed.json"]);
    assert_eq!(code, 1, "{stderr}");
    insta::assert_snapshot!(stdout);
    insta::assert_snapshot!(stderr);
}

#[test]
fn one_release_is_looked_at_and_json_printed() {
    let project = project();
    project.write("feeds/a.json", FEED);
    project.write("feeds/b.json", r#"{"id": "CVE-2026-7", "affected": []}"#);
    project.write("feeds/README", "no entry");
    let args = ["lock", "audit", "--osv", "feeds", "--release", "upstream", "--json"];
    let (code, stdout, stderr) = project.run(&args);
    assert_eq!(code, 1, "{stderr}");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let names: Vec<&str> =
        json["findings"].as_array().unwrap().iter().filter_map(|finding| finding["what"].as_str()).collect();
    assert_eq!((names, &json["version"]), (vec!["CVE-2026-1", "CVE-2026-6"], &1.into()));
    assert_eq!(json["unknown"], serde_json::json!(["release upstream: tool"]));
}

#[test]
fn a_lock_without_findings_is_good() {
    let project = project();
    let (code, stdout, stderr) = project.run(&["lock", "audit", "--release", "upstream"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
}

#[test]
fn a_feed_that_is_none_is_named() {
    let project = project();
    project.write("empty/README", "nothing");
    for (name, text) in
        [("broken.json", "{\"id\": 7}"), ("other.json", "7"), ("half.json", "[{\"id\": \"a\"")]
    {
        project.write(name, text);
        let (code, stdout, stderr) = project.run(&["lock", "audit", "--osv", name]);
        assert!(
            code == 1 && stdout.is_empty() && stderr.contains(&format!("the vulnerability feed `{name}`")),
            "{stderr}"
        );
    }
    for name in ["nowhere.json", "empty"] {
        let (code, _, stderr) = project.run(&["lock", "audit", "--osv", name]);
        assert!(code == 1 && stderr.contains(&format!("the vulnerability feed `{name}`")), "{stderr}");
    }
    let (code, _, stderr) = project.run(&["lock", "audit", "--release", "upstraem"]);
    assert!(code == 1 && stderr.contains("did you mean `upstream`?"), "{stderr}");
}
