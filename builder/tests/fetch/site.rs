//! What a site configures: prefix maps, several mirrors, a snapshot mirror, a proxy, credentials. The real program
//! against servers of this host.

use assert_cmd::Command;
use fs_err as fs;

use super::web::{Answer, Site};
use crate::project::Project;

/// A mirror whose archive is below `folder`.
fn serving(project: &Project, folder: &'static str) -> Site {
    Site::new(archive(project, folder))
}

/// The files of the project's mirror, when the target begins with `folder`.
fn archive(project: &Project, folder: &'static str) -> Answer {
    let files = project.path("mirror/debian");
    Box::new(move |(target, _)| {
        let file = target.strip_prefix(folder).map(|file| files.join(file.trim_start_matches('/')));
        match file.and_then(|file| fs::read(file).ok()) {
            Some(bytes) => ("200 OK".to_owned(), bytes),
            None => ("404 Not Found".to_owned(), Vec::new()),
        }
    })
}

/// A project whose configuration file, below its own HOME, is this.
fn configured(text: &str) -> Project {
    let project = Project::with_content();
    project.write("home/.config/kiln/config.toml", text);
    project
}

/// `builder fetch`: exit code and standard error.
fn fetch(project: &Project, variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::cargo_bin("builder").unwrap();
    command.env_clear().env("HOME", project.path("home")).envs(variables.iter().copied());
    let args = ["fetch", "--profile", "small", "--store", "store"];
    let output = command.current_dir(project.path("")).args(args).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

const KMOD: &str = "pool/main/k/kmod/kmod_34.2-2_amd64.deb";
const HELLO: &str = "pool/main/h/hello/hello_1.0-1.dsc";

#[test]
fn a_prefix_map_leads_elsewhere_and_falls_over() {
    let project = configured("");
    let site = serving(&project, "/mirror/deb.example/debian");
    let config = format!(
        "[mirror]\ndebian = 'http://deb.example/debian'\n\
         [mirrors]\n'http://deb.example/' = ['http://127.0.0.1:9', '{}/mirror/deb.example']\n",
        site.url
    );
    project.write("home/.config/kiln/config.toml", &config);
    let (code, stderr) = fetch(&project, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(site.targets(), [HELLO, KMOD].map(|file| format!("/mirror/deb.example/debian/{file}")));
}

#[test]
fn a_prefix_map_to_a_folder_needs_no_network() {
    let project = configured("[mirror]\ndebian = 'http://deb.example/debian'\n");
    let folder = format!("http://deb.example=file://{}", project.path("mirror").display());
    let (code, stderr) = fetch(&project, &[("KILN_MIRRORS", &folder)]);
    assert_eq!(code, 0, "{stderr}");
    fs::remove_dir_all(project.path("store")).unwrap();
    let mut command = Command::cargo_bin("builder").unwrap();
    command.env_clear().env("HOME", project.path("home")).env("KILN_MIRRORS", &folder);
    let args = ["bundle", "--profile", "small", "--store", "store", "--offline", "-o", "b.tar.zst"];
    let output = command.current_dir(project.path("")).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_package_that_is_gone_comes_from_the_snapshot_mirror() {
    let project = configured("");
    let pool = serving(&project, "/nowhere");
    let mirror = format!("[mirror]\ndebian = '{}/debian'\n", pool.url);
    project.write("home/.config/kiln/config.toml", &mirror);
    let (code, stderr) = fetch(&project, &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("is not on any mirror any more"), "{stderr}");
    let hint = stderr.rsplit("\n\n").next().unwrap();
    assert!(hint.contains(" --store store lock update`") && hint.contains("`snapshot = "), "{stderr}");

    let past = serving(&project, "/archive/debian/20260913T075541Z");
    let both = format!("{mirror}snapshot = '{}'\n", past.url);
    project.write("home/.config/kiln/config.toml", &both);
    let (code, stderr) = fetch(&project, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(past.targets().len(), 2);
}

#[test]
fn the_proxy_of_the_environment_is_asked() {
    let project = configured("[mirror]\ndebian = 'http://deb.example/debian'\n");
    let proxy = serving(&project, "http://deb.example/debian");
    let (code, stderr) = fetch(&project, &[("http_proxy", &proxy.url)]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(proxy.targets(), [HELLO, KMOD].map(|file| format!("http://deb.example/debian/{file}")));
}

/// `me:hunter2`, as a request says it.
const BASIC: &str = "Basic bWU6aHVudGVyMg==";

/// A mirror that wants to know who asks.
fn guarded(project: &Project) -> Site {
    let open = archive(project, "/debian");
    Site::new(Box::new(move |asked| match asked.1.as_deref() {
        Some(BASIC) => open(asked),
        _ => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"".to_owned(), Vec::new()),
    }))
}

/// Nothing that was said or kept has the password, as it is or as it is sent.
fn kept_secret(project: &Project, stderr: &str) {
    let secret = |text: &str| text.contains("hunter2") || text.contains(&BASIC[6..]);
    assert!(!secret(stderr), "{stderr}");
    for entry in walkdir::WalkDir::new(project.path("store")) {
        let entry = entry.unwrap();
        let text = fs::read(entry.path()).unwrap_or_default();
        assert!(!secret(&String::from_utf8_lossy(&text)), "{}", entry.path().display());
    }
}

#[test]
fn credentials_come_from_the_netrc_file_and_show_nowhere() {
    let project = configured("");
    let site = guarded(&project);
    let plain = format!("[mirror]\ndebian = '{}/debian'\n", site.url);
    project.write("home/.config/kiln/config.toml", &plain);
    let (code, stderr) = fetch(&project, &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("answered 401 Unauthorized") && stderr.contains("~/.netrc"), "{stderr}");

    project.write("home/.netrc", "machine 127.0.0.1 login me password wrong-hunter2\n");
    let (code, stderr) = fetch(&project, &[("KILN_LOG", "trace")]);
    assert_eq!(code, 2, "{stderr}");
    kept_secret(&project, &stderr);

    project.write("home/.netrc", "machine 127.0.0.1\nlogin me\npassword hunter2\n");
    let (code, stderr) = fetch(&project, &[("KILN_LOG", "trace")]);
    assert_eq!(code, 0, "{stderr}");
    kept_secret(&project, &stderr);
}

#[test]
fn a_broken_netrc_file_is_named_and_not_quoted() {
    let project = configured("[mirror]\ndebian = 'http://127.0.0.1:9/debian'\n");
    project.write("other-netrc", "machine 127.0.0.1 login me hunter2\n");
    let path = project.path("other-netrc").display().to_string();
    let (code, stderr) = fetch(&project, &[("NETRC", &path)]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&format!("`{path}` is no netrc file that can be read")), "{stderr}");
    kept_secret(&project, &stderr);
}

#[test]
fn credentials_in_an_address_are_used_and_show_nowhere() {
    let project = configured("");
    let site = guarded(&project);
    let address = |password: &str, url: &str| {
        let base = url.replace("http://", &format!("http://me:{password}@"));
        project.write("home/.config/kiln/config.toml", &format!("[mirror]\ndebian = '{base}/debian'\n"));
        fetch(&project, &[("KILN_LOG", "trace")])
    };
    for (password, url) in [("hunter23", site.url.as_str()), ("hunter2", "http://127.0.0.1:9")] {
        let (code, stderr) = address(password, url);
        assert_eq!(code, 2, "{stderr}");
        kept_secret(&project, &stderr);
    }
    let (code, stderr) = address("hunter2", &site.url);
    assert_eq!(code, 0, "{stderr}");
    kept_secret(&project, &stderr);
}

#[test]
fn a_redirect_to_another_server_takes_no_credentials_along() {
    let project = configured("");
    let other = serving(&project, "/debian");
    let there = other.url.clone();
    let site = Site::new(Box::new(move |(target, _)| {
        (format!("302 Found\r\nLocation: {there}{target}"), Vec::new())
    }));
    project.write("home/.netrc", "machine 127.0.0.1 login me password hunter2\n");
    project.write("home/.config/kiln/config.toml", &format!("[mirror]\ndebian = '{}/debian'\n", site.url));
    let (code, stderr) = fetch(&project, &[]);
    assert_eq!(code, 0, "{stderr}");
    let said = |site: &Site| -> Vec<Option<String>> {
        site.asked.lock().unwrap().iter().map(|(_, authorization)| authorization.clone()).collect()
    };
    assert_eq!(said(&site), [Some(BASIC.to_owned()), Some(BASIC.to_owned())]);
    assert_eq!(said(&other), [None, None]);
}
