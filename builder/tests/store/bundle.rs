//! `builder bundle`, and the builder in what it wrote.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use assert_cmd::Command;
use builder::ground::repro::sha256_hex;
use builder::lockfile::Lock;
use fs_err as fs;

use crate::project::Project;

/// The lock's `epoch`.
const EPOCH: u64 = 1_789_199_741;

fn bundle(project: &Project, args: &[&str]) -> (i32, String, String) {
    let mirror = format!("file://{}", project.path("mirror/debian").display());
    let start = ["bundle", "--profile", "small", "-o", "b.tar.zst", "--debian-mirror", &mirror];
    project.run(&[&start, args].concat())
}

fn archive(project: &Project) -> tar::Archive<impl std::io::Read> {
    tar::Archive::new(zstd::Decoder::new(fs::File::open(project.path("b.tar.zst")).unwrap()).unwrap())
}

#[test]
fn a_bundle_holds_the_closure_and_no_secret() {
    let project = Project::with_content();
    let hello = project.hello();
    project.write("secrets/small.key", "secret");
    project.write("out/small/admin.kubeconfig", "secret");
    let (code, stdout, stderr) = bundle(&project, &[]);
    assert_eq!(code, 0, "{stderr}");
    let sum = sha256_hex(fs::read(project.path("b.tar.zst")).unwrap());
    assert_eq!(stdout, format!("sha256:{sum}  b.tar.zst\n"));

    let (mut files, mut programs) = (Vec::new(), BTreeSet::new());
    for entry in archive(&project).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let path = entry.path().unwrap().display().to_string();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, EPOCH));
        let name = path.strip_prefix("./").unwrap_or(&path).to_owned();
        if header.mode().unwrap() == 0o755 && !header.entry_type().is_dir() {
            programs.insert(name.clone());
        }
        if !header.entry_type().is_dir() {
            files.push(name);
        }
    }
    let lock = Lock::load(&project.path("lockfile.toml")).unwrap();
    let kmod = lock.deb.values().flatten().find(|deb| deb.name == "kmod").unwrap().sha256.to_string();
    let dsc = lock.source["hello"].files[0].sha256.to_string();
    let mut expected: Vec<String> = [
        "bin/amd64",
        "builder",
        "images/base/setup-hook",
        "images/tiny/files/etc/motd",
        "images/tiny/image.toml",
        "kiln-bundle.toml",
        "lockfile.toml",
        "profiles/small.toml",
        "recipes/hello/build.sh",
        &format!("store/files/{dsc}"),
        &format!("store/files/{kmod}"),
        &format!("store/records/{hello}"),
        &format!("store/steps/{hello}/.sha256.json"),
        &format!("store/steps/{hello}/hello"),
    ]
    .map(|name| format!("kiln-small/{name}"))
    .to_vec();
    expected.sort();
    assert_eq!(files, expected);
    let expected = ["builder".to_owned(), format!("store/steps/{hello}/hello")];
    assert_eq!(programs, expected.map(|name| format!("kiln-small/{name}")).into());
}

/// Another folder, other times, other modes for others, a step of before there were records.
#[test]
fn the_same_inputs_give_the_same_bundle() {
    let projects = [Project::with_content(), Project::with_content()];
    let steps = projects.each_ref().map(Project::hello);
    let motd = projects[1].path("images/tiny/files/etc/motd");
    fs::set_permissions(motd, std::fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(projects[1].path("store/records").join(&steps[1])).unwrap();
    let [one, other] = projects.map(|project| bundle(&project, &[]).1);
    assert!(one.starts_with("sha256:") && one == other, "{one}{other}");
}

#[test]
fn the_builder_in_a_bundle_takes_its_project_and_its_store_from_there() {
    let project = Project::with_content();
    project.hello();
    assert_eq!(bundle(&project, &[]).0, 0);
    let elsewhere = tempfile::tempdir().unwrap();
    archive(&project).unpack(elsewhere.path()).unwrap();
    let folder = elsewhere.path().canonicalize().unwrap().join("kiln-small");
    let run = |args: &[&str]| {
        let mut command = Command::new(folder.join("builder"));
        let output = command.env_clear().current_dir(elsewhere.path()).args(args).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = run(&["store", "verify"]);
    assert!(code == 0 && stderr.contains("2 files and 1 steps: 0 removed, 0 not recorded"), "{stderr}");
    // The package in these tests is none. That it is opened tells that nothing is missing before.
    let (code, stderr) = run(&["build", "--profile", "small", "--offline"]);
    let lock = Lock::load(&folder.join("lockfile.toml")).unwrap();
    let kmod = &lock.deb.values().flatten().find(|deb| deb.name == "kmod").unwrap().sha256;
    let package = folder.join("store/files").join(kmod.as_str());
    assert!(
        code != 0 && stderr.contains(&format!("unpacking the package {}", package.display())),
        "{stderr}"
    );
    // What it was made for is what it builds, unless the arguments say something else.
    let mark = folder.join("kiln-bundle.toml");
    let text = fs::read_to_string(&mark).unwrap();
    assert!(text.contains("release = \"upstream\"\narch = \"amd64\"\n"), "{text}");
    fs::write(&mark, text.replace("upstream", "another")).unwrap();
    let (code, stderr) = run(&["build", "--profile", "small", "--offline"]);
    assert!(code == 1 && stderr.contains("there is no release `another`"), "{stderr}");
    let (code, stderr) = run(&["build", "--profile", "small", "--offline", "--release", "upstream"]);
    assert!(code == 2 && stderr.contains("unpacking the package"), "{stderr}");
    let (code, stderr) = run(&["lock", "check", "--project", "elsewhere"]);
    assert!(code == 1 && stderr.contains("there is no lockfile `elsewhere/lockfile.toml`"), "{stderr}");
    let (code, stderr) = run(&["store", "verify", "--store", "nowhere"]);
    assert!(code == 1 && stderr.contains("there is no store in `nowhere`"), "{stderr}");
}

/// No bundle, whole or half.
fn refused(project: &Project, args: &[&str], code: i32, text: &str) {
    let (found, stdout, stderr) = bundle(project, args);
    assert!(found == code && stdout.is_empty() && stderr.contains(text), "{found} {stderr}");
    let left = fs::read_dir(project.path("")).unwrap().map(|entry| entry.unwrap().path());
    let left: Vec<PathBuf> = left.filter(|path| path.display().to_string().contains("bundle")).collect();
    assert!(left.is_empty() && !project.path("b.tar.zst").exists(), "{left:?}");
}

#[test]
fn what_would_not_build_elsewhere_is_refused() {
    let project = Project::with_content();
    let args = ["bundle", "--profile", "small", "-o", "b.tar.zst", "--offline"];
    let (code, stdout, stderr) = project.run(&args);
    let text = "is not in the store, and --offline forbids fetching it";
    assert!(code == 1 && stdout.is_empty() && stderr.contains(text), "{stderr}");
    assert!(!project.path("b.tar.zst").exists());

    assert_eq!(bundle(&project, &[]).0, 0);
    fs::remove_file(project.path("b.tar.zst")).unwrap();
    let dsc = Lock::load(&project.path("lockfile.toml")).unwrap().source["hello"].files[0].sha256.to_string();
    fs::write(project.path("store/files").join(&dsc), "damage").unwrap();
    refused(&project, &[], 2, &format!("`files/{dsc}` in the store is wrong: expected sha256:{dsc}"));
    fs::remove_file(project.path("store/files").join(&dsc)).unwrap();

    let made = project.path("store/steps").join(project.hello()).join("hello");
    fs::write(&made, "damage").unwrap();
    refused(&project, &[], 2, "in the store is wrong: expected tree:");
    let record = project.path("store/records").join(made.parent().unwrap().file_name().unwrap());
    fs::remove_file(record).unwrap();
    refused(&project, &[], 2, "the source build `hello` made another `hello`");
    fs::write(&made, "made").unwrap();

    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let absolute = format!("path = \"{}/{{arch}}\"", project.path("bin").display());
    project.write("lockfile.toml", &lock.replace("path = \"bin/{arch}\"", &absolute));
    refused(&project, &[], 1, "the component `tool` has files at");
}

#[test]
fn a_build_that_is_not_made_yet_is_named() {
    let project = Project::with_content();
    let (code, _, stderr) = bundle(&project, &[]);
    assert!(code == 0 && stderr.contains("the source build `hello` is not in the store"), "{stderr}");
}

#[test]
fn folders_that_no_build_reads_may_be_missing() {
    let project = Project::with_content();
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    project.write("lockfile.toml", &lock.replace("hello = { build = \"hello\" }\n", ""));
    let role = fs::read_to_string(project.path("images/tiny/image.toml")).unwrap();
    project.write("images/tiny/image.toml", &role.replace("\"hello:hello\" = \"/usr/bin/hello\"\n", ""));
    fs::remove_dir_all(project.path("recipes")).unwrap();
    fs::rename(project.path("profiles/small.toml"), project.path("small.toml")).unwrap();
    fs::remove_dir(project.path("profiles")).unwrap();
    let mirror = format!("file://{}", project.path("mirror/debian").display());
    let args = ["bundle", "--profile", "./small.toml", "-o", "b.tar.zst", "--debian-mirror", &mirror];
    let (code, _, stderr) = project.run(&args);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_link_that_would_lead_nowhere_is_refused() {
    let project = Project::with_content();
    // What the image has as a link, and what leads to the bundle's own.
    symlink("/dev/null", project.path("images/tiny/files/etc/none")).unwrap();
    symlink("tiny", project.path("images/again")).unwrap();
    // The profile itself is a file there.
    fs::rename(project.path("profiles/small.toml"), project.path("small.toml")).unwrap();
    symlink("../small.toml", project.path("profiles/small.toml")).unwrap();
    let (code, _, stderr) = bundle(&project, &[]);
    assert_eq!(code, 0, "{stderr}");
    fs::remove_file(project.path("b.tar.zst")).unwrap();
    fs::rename(project.path("images/tiny"), project.path("tiny")).unwrap();
    symlink(project.path("tiny"), project.path("images/tiny")).unwrap();
    let text = format!("images/tiny` is a link to `{}`, which is not in", project.path("tiny").display());
    refused(&project, &[], 1, &text);
}
