//! `builder store push` and `pull` with web servers, good and bad ones, and with the clouds' services behind one.

use fs_err as fs;

use super::web::{Manner, Web};
use crate::project::Project;

fn share(project: &Project, env: &[(&str, &str)], verb: &str, url: &str) -> (i32, String) {
    let (code, stdout, stderr) = project.run_with(env, &["store", verb, url, "--profile", "small"]);
    assert_eq!(stdout, "");
    (code, stderr)
}

/// Pushes to a good server and empties the store.
fn pushed() -> (Project, Web) {
    let (project, web) = (Project::full(), Web::start(Manner::Good));
    let (code, stderr) = share(&project, &[], "push", &format!("http://{}/kiln", web.host));
    assert!(code == 0 && stderr.contains("3 copied (44 bytes)"), "{stderr}");
    let names: Vec<String> = web.files().into_keys().collect();
    let mut expected = project.entries().map(|name| format!("kiln/{name}"));
    expected.sort();
    assert_eq!(names, expected);
    fs::remove_dir_all(project.path("store")).unwrap();
    (project, web)
}

fn is_full(project: &Project) {
    let (code, _, stderr) = project.run(&["store", "verify"]);
    assert!(code == 0 && stderr.contains("2 files and 1 steps: 0 removed, 0 not recorded"), "{stderr}");
}

#[test]
fn a_web_server_is_a_shared_place() {
    let (project, web) = pushed();
    let url = format!("http://{}/kiln/", web.host);
    let (code, stderr) = share(&project, &[], "pull", &url);
    assert!(code == 0 && stderr.contains("3 copied (44 bytes)"), "{stderr}");
    is_full(&project);
    let (code, stderr) = share(&project, &[], "push", &url);
    assert!(code == 0 && stderr.contains("0 copied (0 bytes), 3 there already"), "{stderr}");
}

#[test]
fn a_server_that_is_busy_for_a_moment_is_asked_again() {
    let (project, web) = pushed();
    let busy = Web::start(Manner::Busy(2)).with(&web);
    let (code, stderr) = share(&project, &[], "pull", &format!("http://{}/kiln", busy.host));
    assert_eq!(code, 0, "{stderr}");
    is_full(&project);
}

#[test]
fn what_a_bad_server_sends_stays_out_of_the_store() {
    let (project, web) = pushed();
    for (manner, exit, text) in [
        (Manner::Cut, 2, "hint: run the same command again"),
        (Manner::Endless, 2, "it has more than 30 bytes"),
        (Manner::Loop, 2, "too many redirects"),
        (Manner::Busy(usize::MAX), 2, "500 Internal Server Error: busy"),
    ] {
        let bad = Web::start(manner.clone()).with(&web);
        // The compiled program has no size in the lock: a server without an end would send all that is allowed.
        let made = &project.entries()[2];
        if manner == Manner::Endless {
            bad.state.lock().unwrap().files.remove(&format!("kiln/{made}"));
        }
        let (code, stderr) = share(&project, &[], "pull", &format!("http://{}/kiln", bad.host));
        assert!(code == exit && stderr.contains(text), "{manner:?}: {stderr}");
        assert!(stderr.contains(&format!("http://{}/kiln", bad.host)), "{stderr}");
        project.is_empty();
    }
    // Nobody is there at all.
    let (code, stderr) = share(&project, &[], "pull", "http://127.0.0.1:1/kiln");
    assert!(
        code == 2 && stderr.contains("http://127.0.0.1:1/kiln: `") && stderr.contains("refused"),
        "{stderr}"
    );
    project.is_empty();
}

#[test]
fn a_password_comes_from_netrc_or_the_address_and_is_told_to_nobody_else() {
    let (project, web) = pushed();
    // "me:hunter2".
    let closed = Web::start(Manner::Wants("Basic bWU6aHVudGVyMg==".to_owned())).with(&web);
    let url = format!("http://{}/kiln", closed.host);
    let netrc = project.path("netrc");
    let trace = [("NETRC", netrc.to_str().unwrap()), ("KILN_LOG", "trace"), ("NO_COLOR", "1")];
    for (login, good) in [("me password hunter2", true), ("me password hunter3", false)] {
        project.write("netrc", &format!("machine 127.0.0.1 login {login}\n"));
        let (code, stderr) = share(&project, &trace, "pull", &url);
        assert_eq!(code == 0, good, "{stderr}");
        for secret in ["hunter", "bWU6aHVudGVy", "\x1b"] {
            assert!(!stderr.contains(secret), "{secret}: {stderr}");
        }
        assert!(
            good || stderr.contains("401 Unauthorized") && stderr.contains("hint: put `machine HOST"),
            "{stderr}"
        );
        fs::remove_dir_all(project.path("store")).unwrap();
    }
    let address = format!("http://me:hunter2@{}/kiln", closed.host);
    let (code, stderr) = share(&project, &[("KILN_LOG", "trace")], "pull", &address);
    assert!(code == 0 && !stderr.contains("hunter2"), "{stderr}");
}

/// The services' own requests, without what only they can check.
#[test]
fn google_and_azure_are_shared_places() {
    let (project, web) = (Project::full(), Web::start(Manner::Good));
    let endpoint = format!("http://{}", web.host);
    let google = [("GOOGLE_BASE_URL", endpoint.as_str()), ("GOOGLE_BEARER_TOKEN", "hunter2")];
    let azure = [
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
        ("AZURE_STORAGE_ACCOUNT", "account"),
        ("AZURE_STORAGE_KEY", "aHVudGVyMg=="),
        // Not a service's variables, though `object_store` knows these names.
        ("ENDPOINT", "http://127.0.0.1:1"),
        ("CONTAINER_NAME", "elsewhere"),
    ];
    for (env, url, bucket) in
        [(&google[..], "gs://bucket/kiln", "bucket"), (&azure[..], "az://container/kiln", "container")]
    {
        web.state.lock().unwrap().files.clear();
        let (code, stderr) = share(&project, env, "push", url);
        assert!(code == 0 && stderr.contains("3 copied (44 bytes)"), "{url}: {stderr}");
        for name in project.entries() {
            let name = format!("{bucket}/kiln/{name}");
            assert!(web.files().keys().any(|file| file.ends_with(&name)), "{name}: {:?}", web.files().keys());
        }
        fs::rename(project.path("store"), project.path("before")).unwrap();
        let (code, stderr) = share(&project, env, "pull", url);
        assert!(code == 0 && stderr.contains("3 copied (44 bytes)"), "{url}: {stderr}");
        is_full(&project);
        fs::remove_dir_all(project.path("before")).unwrap();
    }
}

#[test]
fn offline_means_a_folder() {
    let (project, web) = pushed();
    let asked = web.state.lock().unwrap().asked.len();
    let url = format!("http://{}/kiln", web.host);
    for url in [url.as_str(), "s3://bucket/kiln", "gs://bucket/kiln", "az://container/kiln"] {
        let (code, _, stderr) = project.run(&["store", "pull", url, "--profile", "small", "--offline"]);
        assert!(code == 1 && stderr.contains("is on the network, and --offline forbids it"), "{stderr}");
    }
    assert_eq!(web.state.lock().unwrap().asked.len(), asked, "the server was asked");
    fs::create_dir(project.path("shared")).unwrap();
    let folder = format!("file://{}", project.path("shared").display());
    let (code, _, stderr) = project.run(&["store", "pull", &folder, "--profile", "small", "--offline"]);
    assert!(code == 0 && stderr.contains("3 not there"), "{stderr}");
}
