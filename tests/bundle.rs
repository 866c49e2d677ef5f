//! A bundle of the real store, unpacked where nothing else is: it builds without a network, and the same bytes.

#![expect(
    clippy::disallowed_methods,
    reason = "tar and unshare are the host's, as on the machine that unpacks a bundle"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{PROFILE, build, builder, fresh, run, secret, text};
use builder::results::cluster::ClusterJson;
use fs_err as fs;
use nix::unistd::Uid;

#[test]
fn a_bundle_builds_the_same_images_in_an_empty_network_namespace() {
    assert!(Uid::effective().is_root(), "this test makes a network namespace: run it as root");
    let online = fresh("bundle-online");
    build(&online);
    let expected = hashes(&online.join(PROFILE));

    let folder = fresh("bundle");
    let [first, second] = ["first", "second"].map(|name| bundle(&folder.join(name)));
    let hash = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    assert_eq!(hash(&first), hash(&second), "two bundles of the same inputs");
    let names = entries(&folder.join("first"));
    let top = format!("kiln-{PROFILE}");
    let private = |name: &&String| {
        let name = name.trim_start_matches("./").trim_start_matches(&top);
        name.starts_with("/secrets") || name.starts_with("/out") || name.ends_with(".key")
    };
    assert_eq!(names.iter().filter(private).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(
        names.iter().any(|name| name.contains("/store/steps/source-")),
        "the compiled Kubernetes is in it"
    );

    // Nothing of this host but its programs: another folder, an empty HOME, a network namespace in which even the
    // loopback device is down.
    let there = tempfile::Builder::new().prefix("kiln-bundle-").tempdir().unwrap();
    let home = there.path().join("home");
    fs::create_dir(&home).unwrap();
    run(Command::new("tar")
        .args(["--extract", "--zstd", "--file", text(&folder.join("first"))])
        .arg("--directory")
        .arg(there.path()));
    let unpacked = there.path().join(top);
    let secret = secret(there.path(), 7);
    let inside = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--"]).args(args).current_dir(&unpacked).env_clear();
        run(command.env("PATH", "/usr/bin:/bin").env("HOME", &home))
    };
    let devices = inside(&["cat", "/proc/net/dev"]).stdout;
    let devices: Vec<&str> =
        devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim).collect();
    assert_eq!(devices, ["lo"]);
    let built = inside(&["./builder", "build", "--profile", PROFILE, "--offline", "--secret", text(&secret)]);
    assert!(!built.stderr.contains("compiling"), "the compiled Kubernetes was not used: {}", built.stderr);
    assert_eq!(hashes(&unpacked.join("out").join(PROFILE)), expected);
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "HOME is as empty as before");
    fs::remove_dir_all(folder).unwrap();
    fs::remove_dir_all(online).unwrap();
}

/// SHA-256 of whole images, by role.
fn hashes(results: &Path) -> BTreeMap<String, String> {
    let cluster = ClusterJson::load(results).unwrap();
    cluster.images.into_iter().map(|image| (image.role, image.sha256.to_string())).collect()
}

/// Writes a bundle and returns what was printed.
fn bundle(path: &Path) -> String {
    builder(&["bundle", "--profile", PROFILE, "-o", text(path)])
}

/// The names in a bundle.
fn entries(bundle: &PathBuf) -> Vec<String> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(fs::File::open(bundle).unwrap()).unwrap());
    let name =
        |entry: std::io::Result<tar::Entry<'_, _>>| entry.unwrap().path().unwrap().display().to_string();
    archive.entries().unwrap().map(name).collect()
}
