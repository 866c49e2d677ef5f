//! `builder store push` and `pull`, with a folder as the other place.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use builder::ground::repro::sha256_hex;
use fs_err as fs;

use crate::project::Project;

/// A project whose store has everything, and a folder to share it in.
fn full() -> (Project, String) {
    let project = Project::full();
    fs::create_dir(project.path("shared")).unwrap();
    let url = format!("file://{}", project.path("shared").display());
    (project, url)
}

fn share(project: &Project, verb: &str, url: &str) -> (i32, String) {
    let (code, stdout, stderr) = project.run(&["store", verb, url, "--profile", "small"]);
    assert_eq!(stdout, "");
    (code, stderr)
}

/// The places of the package, the source and the compiled program in the shared folder.
fn shared(project: &Project) -> [PathBuf; 3] {
    project.entries().map(|name| project.path("shared").join(name))
}

#[test]
fn an_empty_store_is_filled_with_what_another_one_pushed() {
    let (project, url) = full();
    let (code, stderr) = share(&project, "push", &url);
    assert!(code == 0 && stderr.contains("3 copied (44 bytes), 0 there already\n"), "{stderr}");
    let (code, stderr) = share(&project, "push", &url);
    assert!(code == 0 && stderr.contains("0 copied (0 bytes), 3 there already\n"), "{stderr}");

    let step = fs::read_dir(project.path("store/steps")).unwrap().next().unwrap().unwrap().file_name();
    fs::rename(project.path("store"), project.path("before")).unwrap();
    let (code, stderr) = share(&project, "pull", &url);
    assert!(code == 0 && stderr.contains("3 copied (44 bytes), 0 in the store already\n"), "{stderr}");
    // The same source build, as the recipe left it.
    for file in ["hello", ".sha256.json"] {
        let [before, after] =
            ["before", "store"].map(|store| project.path(store).join("steps").join(&step).join(file));
        assert_eq!(fs::read(&before).unwrap(), fs::read(&after).unwrap());
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(before), mode(after));
    }
    let [before, after] = ["before", "store"].map(|store| project.path(store).join("records").join(&step));
    assert_eq!(fs::read(before).unwrap(), fs::read(after).unwrap());
    let (code, _, stderr) = project.run(&["store", "verify"]);
    assert!(code == 0 && stderr.contains("2 files and 1 steps: 0 removed, 0 not recorded"), "{stderr}");
    let (code, stderr) = share(&project, "pull", &url);
    assert!(code == 0 && stderr.contains("0 copied (0 bytes), 3 in the store already\n"), "{stderr}");
}

#[test]
fn what_is_not_there_is_counted_and_named_for_programs() {
    let (project, url) = full();
    fs::remove_dir_all(project.path("store/steps")).unwrap();
    let (code, stderr) = share(&project, "push", &url);
    assert!(
        code == 0 && stderr.contains("2 copied (40 bytes), 0 there already, 1 not in the store"),
        "{stderr}"
    );
    let [package, _, _] = shared(&project);
    fs::write(&package, "x".repeat(30)).unwrap();
    fs::remove_dir_all(project.path("store")).unwrap();
    let args = ["store", "pull", &url, "--profile", "small", "--json"];
    let (code, stdout, stderr) = project.run(&args);
    assert_eq!(code, 2, "{stderr}");
    let [package, _, made] = project.entries();
    let step = made.rsplit_once('/').unwrap().0.to_owned();
    let (expected, found) = (sha256_hex("p".repeat(30)), sha256_hex("x".repeat(30)));
    let message = format!("kmod 34.2-2: expected sha256:{expected}, found sha256:{found}");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap(),
        serde_json::json!({
            "version": 1, "copied": 1, "bytes": 10, "present": 0, "missing": [step],
            "wrong": [{ "entry": package, "message": message }],
        })
    );
}

#[test]
fn what_is_wrong_there_is_named_and_stays_there() {
    let (project, url) = full();
    assert_eq!(share(&project, "push", &url).0, 0);
    fs::remove_dir_all(project.path("store")).unwrap();
    let [package, source, made] = shared(&project);
    let good = fs::read(&package).unwrap();
    // Another file of the lock under this name, more than there should be, less than there should be.
    fs::copy(&source, &package).unwrap();
    fs::write(&source, "s".repeat(5000)).unwrap();
    fs::write(&made, "mad").unwrap();
    let (code, stderr) = share(&project, "pull", &url);
    assert_eq!(code, 2, "{stderr}");
    for text in [
        "it has more than 10 bytes",
        &format!("found sha256:{}", sha256_hex("s".repeat(10))),
        &format!("3 of the files at {url} are not what the lockfile says; none of these entered the store"),
        &format!(
            "the compiled `hello`: expected sha256:{}, found sha256:{}",
            sha256_hex("made"),
            sha256_hex("mad")
        ),
        "hint: delete them there",
    ] {
        assert!(stderr.contains(text), "{text}: {stderr}");
    }
    project.is_empty();
    // The rest comes when it is right.
    fs::write(&package, good).unwrap();
    let (code, stderr) = share(&project, "pull", &url);
    assert!(code == 2 && stderr.contains("2 of the files at"), "{stderr}");
    assert_eq!(fs::read_dir(project.path("store/files")).unwrap().count(), 1);
}

/// Names come from the lock alone, and what is no file is not waited for.
#[test]
fn pipes_folders_and_links_to_elsewhere_bring_nothing() {
    let (project, url) = full();
    assert_eq!(share(&project, "push", &url).0, 0);
    fs::remove_dir_all(project.path("store")).unwrap();
    let [package, source, _] = shared(&project);
    project.write("secret", "a secret of this machine");
    fs::remove_file(&source).unwrap();
    std::os::unix::fs::symlink(project.path("secret"), &source).unwrap();
    for evil in ["pipe", "folder"] {
        if evil == "pipe" {
            fs::remove_file(&package).unwrap();
            nix::unistd::mkfifo(&package, nix::sys::stat::Mode::S_IRWXU).unwrap();
        } else {
            fs::remove_file(&package).unwrap();
            fs::create_dir(&package).unwrap();
        }
        let (code, stderr) = share(&project, "pull", &url);
        assert!(
            code == 2 && stderr.contains("it is no file") && stderr.contains("hint: "),
            "{evil}: {stderr}"
        );
        assert!(!stderr.contains("a secret"), "{stderr}");
        assert!(!project.path("store").join("files").join(source.file_name().unwrap()).exists());
    }
    // Names that lead elsewhere cannot be in a lock.
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    project.write("lockfile.toml", &lock.replace("hello = \"", "\"../hello\" = \""));
    let (code, stderr) = share(&project, "pull", &url);
    assert!(code == 1 && stderr.contains("../hello"), "{stderr}");
}

#[test]
fn damage_is_not_pushed() {
    let (project, url) = full();
    let [package, _, made] = project.entries();
    for (name, good) in [(&made, "made".to_owned()), (&package, "p".repeat(30))] {
        fs::write(project.path("store").join(name), "damage").unwrap();
        let (code, stderr) = share(&project, "push", &url);
        assert!(code == 2 && stderr.contains("in the store is wrong: expected "), "{stderr}");
        assert!(stderr.contains("hint: `builder --store store store verify --remove`"), "{stderr}");
        assert!(!project.path("shared").join(name).exists());
        fs::write(project.path("store").join(name), good).unwrap();
        // What was good of it went there.
        fs::remove_dir_all(project.path("shared")).unwrap();
        fs::create_dir(project.path("shared")).unwrap();
    }
}

#[test]
fn an_address_that_cannot_be_used_is_named_without_its_password() {
    let (project, _) = full();
    for address in [
        "nonsense",
        "ftp://me:hunter2@host.example/x",
        "memory:///",
        "file:///",
        "https://host.example/x?signature=hunter2",
        "az://me:hunter2@account.example/x",
        "https://",
    ] {
        let (code, stderr) = share(&project, "pull", address);
        assert!(
            code == 1 && stderr.contains("cannot be used") && !stderr.contains("hunter2"),
            "{address}: {stderr}"
        );
        assert!(stderr.contains("hint: write it as file:///DIR, s3://"), "{stderr}");
    }
}
