//! The real program with wrong input: a named error, and nothing downloaded or written.

mod components;

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use builder::lockfile::Lock;
use builder::plan::{Plan, Request};
use builder::profile::Profile;
use fs_err as fs;

/// The checkout.
fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A project of its own with the checkout's recipes, and a store and an output folder that are not there yet.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["images", "recipes"] {
            symlink(checkout().join(name), folder.path().join(name)).unwrap();
        }
        fs::create_dir(folder.path().join("profiles")).unwrap();
        for name in ["lockfile.toml", "profiles/1cp-2workers.toml", "profiles/single.toml"] {
            fs::copy(checkout().join(name), folder.path().join(name)).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    /// The program as a host without any configuration of Kiln runs it, with a shell's `args`.
    fn builder(&self, args: &[&str]) -> Command {
        let mut command = self.shell();
        command.args(["-c", "builder \"$@\"", "-"]).args(args).args(["--store", "store"]);
        command
    }

    /// A shell that finds the program; nothing answers at the mirror.
    fn shell(&self) -> Command {
        let mut command = Command::new("/bin/bash");
        let program = Path::new(env!("CARGO_BIN_EXE_builder"));
        command
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", program.parent().unwrap())
            .env("KILN_DEBIAN_MIRROR", "file:///nowhere/debian");
        command.current_dir(self.0.path());
        command
    }

    /// `builder build` with these arguments: exit code and standard error.
    fn build(&self, args: &[&str]) -> String {
        let output = self.builder(&[&["build", "--out", "out"], args].concat()).output().unwrap();
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        let code = output.status.code().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        format!("exit {code}\n{}", stderr.replace(&self.0.path().display().to_string(), "PROJECT"))
    }

    /// A build that must fail for its input, before anything is written.
    fn refuse(&self, args: &[&str]) -> String {
        let before = self.listing();
        let said = self.build(args);
        // The note about an old release depends on the day.
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("note: ")).collect();
        assert!(said[0] == "exit 1" && said[1].starts_with("error: "), "{said:?}");
        assert_eq!(self.listing(), before, "something was written");
        said.join("\n") + "\n"
    }

    fn listing(&self) -> Vec<PathBuf> {
        let walk = walkdir::WalkDir::new(self.0.path()).sort_by_file_name();
        walk.into_iter().map(|entry| entry.unwrap().into_path()).collect()
    }
}

#[test]
fn bad_profiles_are_refused_by_name() {
    let project = Project::new();
    let mut said = String::new();
    for path in fixtures("bad-profiles") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let profile = format!("profiles/{name}.toml");
        fs::copy(&path, project.path(&profile)).unwrap();
        writeln!(said, "{}", project.refuse(&["--profile", name])).unwrap();
        fs::remove_file(project.path(&profile)).unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn good_profiles_are_resolved() {
    for path in fixtures("good-profiles") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let profile = Profile::load(checkout(), path.to_str().unwrap()).unwrap();
        insta::assert_snapshot!(format!("resolved-{name}"), serde_json::to_string_pretty(&profile).unwrap());
    }
}

#[test]
fn an_unknown_profile_is_named_with_the_nearest() {
    insta::assert_snapshot!(Project::new().refuse(&["--profile", "singel"]));
}

#[test]
fn an_unknown_release_is_named_with_the_nearest() {
    insta::assert_snapshot!(Project::new().refuse(&["--profile", "single", "--release", "debain"]));
}

#[test]
fn a_role_for_another_architecture_is_refused() {
    let project = Project::new();
    fs::remove_file(project.path("images")).unwrap();
    fs::create_dir_all(project.path("images/single")).unwrap();
    let recipe = "description = \"x\"\narchitectures = [\"amd64\"]\nduties = [\"kubelet\", \"etcd\", \"api-server\", \"controllers\"]\n";
    fs::write(project.path("images/single/image.toml"), recipe).unwrap();
    insta::assert_snapshot!(project.refuse(&["--profile", "single", "--arch", "arm64"]));
}

#[test]
fn a_release_that_has_no_file_for_an_architecture_is_refused() {
    let project = Project::new();
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    // Compiled for amd64 alone.
    let (start, rest) = lock.split_once("[build.kubernetes.output.arm64]").unwrap();
    let rest = rest.split_once("\n\n").unwrap().1;
    fs::write(project.path("lockfile.toml"), [start, rest].concat()).unwrap();
    for release in ["v1.21", "debian"] {
        let arm64 = ["--profile", "single", "--arch", "arm64", "--release", release];
        insta::assert_snapshot!(release, project.refuse(&arm64));
    }
}

#[test]
fn a_lock_without_packages_for_an_architecture_is_refused() {
    let project = Project::new();
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let lock: Vec<&str> = lock.lines().filter(|line| !line.contains("arch = \"arm64\"")).collect();
    fs::write(project.path("lockfile.toml"), lock.join("\n")).unwrap();
    insta::assert_snapshot!(project.refuse(&["--profile", "single", "--arch", "arm64"]));
}

#[test]
fn a_missing_lockfile_is_named() {
    let project = Project::new();
    fs::remove_file(project.path("lockfile.toml")).unwrap();
    insta::assert_snapshot!(project.refuse(&["--profile", "single"]));
}

#[test]
fn a_newer_lockfile_is_refused() {
    let project = Project::new();
    project.edit("lockfile.toml", "\nversion = 1\n", "\nversion = 2\nmood = \"new\"\n");
    insta::assert_snapshot!(project.refuse(&["--profile", "single"]));
}

#[test]
fn an_unknown_key_of_the_lockfile_is_named() {
    let project = Project::new();
    project.edit("lockfile.toml", "\ndefault-release =", "\ndefault-relaese =");
    insta::assert_snapshot!(project.refuse(&["--profile", "single"]));
}

#[test]
fn a_recipe_with_an_unknown_key_is_refused() {
    let project = Project::new();
    fs::remove_file(project.path("images")).unwrap();
    fs::create_dir_all(project.path("images/single")).unwrap();
    let recipe = "description = \"x\"\n[unit]\nenable = []\n";
    fs::write(project.path("images/single/image.toml"), recipe).unwrap();
    insta::assert_snapshot!(project.refuse(&["--profile", "single"]));
    // One over what is not there.
    fs::write(project.path("images/single/image.toml"), "description = \"x\"\nparts = [\"bsae\"]\n").unwrap();
    insta::assert_snapshot!(project.refuse(&["--profile", "single"]));
}

#[test]
fn a_secret_that_is_not_there_is_named_first() {
    insta::assert_snapshot!(Project::new().refuse(&["--profile", "single", "--secret", "none.key"]));
}

#[test]
fn no_hint_repeats_the_credentials_of_a_mirror() {
    let project = Project::new();
    let refused = |mirror: &str| {
        let args = ["up", "--profile", "single", "--debian-mirror", mirror];
        String::from_utf8(project.builder(&args).output().unwrap().stderr).unwrap()
    };
    assert!(refused("http://127.0.0.1:9/debian").contains("--debian-mirror http://127.0.0.1:9/debian build"));
    let said = refused("http://me:secret@127.0.0.1:9/debian");
    assert!(
        said.contains("hint: builder --store store build --profile single") && !said.contains("secret@"),
        "{said}"
    );
}

/// Typed as it stands, what a hint names does what it says: for a profile elsewhere and another folder of results, too.
#[test]
fn what_builds_a_profile_that_was_not_built_can_be_pasted() {
    let project = Project::new();
    fs::create_dir(project.path("my profiles")).unwrap();
    fs::copy(project.path("profiles/single.toml"), project.path("my profiles/one.toml")).unwrap();
    for command in ["up", "status", "kubeconfig", "print --driver qemu", "logs server", "ssh server"] {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.extend(["--profile", "my profiles/one.toml", "--out", "my results"]);
        let output = project.builder(&args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        let (fact, hint) = stderr.trim_end().split_once("\n\nhint: ").unwrap();
        assert_eq!(fact, "error: nothing was built of the profile `my profiles/one.toml` in `my results`");
        assert_eq!(hint, "builder --store store build --profile 'my profiles/one.toml' --out 'my results'");
        // It gets as far as the downloads, of which there are none here.
        let built = project.shell().args(["-c", hint]).output().unwrap();
        let stderr = String::from_utf8(built.stderr).unwrap();
        assert!(built.status.code() == Some(2) && stderr.contains("/nowhere/debian"), "{stderr}");
    }
}

#[test]
fn an_encoding_without_compression_is_refused_first() {
    insta::assert_snapshot!(Project::new().refuse(&[
        "--profile",
        "single",
        "--format",
        "raw",
        "--compression",
        "none"
    ]));
}

#[test]
fn identities_of_too_many_nodes_are_refused_before_anything_is_fetched() {
    let project = Project::new();
    project.edit("profiles/1cp-2workers.toml", "cidr = \"192.168.122.0/24\"", "cidr = \"192.168.120.0/21\"");
    project.edit(
        "profiles/1cp-2workers.toml",
        "pod-cidr = \"10.200.0.0/16\"",
        "pod-cidr = \"10.200.0.0/14\"",
    );
    let mut profile = fs::read_to_string(project.path("profiles/1cp-2workers.toml")).unwrap();
    for number in 0..500 {
        let (third, fourth) = (124 + number / 250, 1 + number % 250);
        let ip = format!("192.168.{third}.{fourth}");
        writeln!(profile, "\n[[node]]\nname = \"more-{number}\"\nrole = \"worker\"\nip = \"{ip}\"").unwrap();
    }
    fs::write(project.path("profiles/many.toml"), profile).unwrap();
    insta::assert_snapshot!(project.refuse(&["--profile", "many"]));
}

#[test]
fn a_site_keeps_its_recipes_in_a_folder_of_its_own() {
    let (project, site) = (Project::new(), tempfile::tempdir().unwrap());
    let images = site.path().display().to_string();
    let recipe = |name: &str, text: &str| {
        fs::create_dir_all(site.path().join(name)).unwrap();
        fs::write(site.path().join(name).join("image.toml"), text).unwrap();
    };
    project.edit("profiles/1cp-2workers.toml", "role = \"worker\"", "role = \"storage\"");
    let told = |project: &Project, images: &str| {
        project.refuse(&["--profile", "1cp-2workers", "--images", images]).replace(images, "SITE")
    };
    insta::assert_snapshot!("no_site", project.refuse(&["--profile", "1cp-2workers"]));
    insta::assert_snapshot!("no_folder", told(&project, &format!("{images}/none")));
    recipe("storage", "description = \"x\"\nparts = [\"kubelte\"]\n");
    insta::assert_snapshot!("a_part_of_no_folder", told(&project, &images));
    recipe("worker", "description = \"x\"\n");
    insta::assert_snapshot!("taken", told(&project, &images));
    fs::remove_dir_all(site.path().join("worker")).unwrap();
    recipe("storage", "description = \"x\"\nparts = [\"kubelet\"]\n");
    // A unit and a key that its machines do not have are told before anything is fetched.
    fs::create_dir_all(site.path().join("storage/units")).unwrap();
    let unit = |key: &str| {
        let text = format!("[Service]\nExecStart=/usr/bin/serve \\\n  --key={key}\n");
        fs::write(site.path().join("storage/units/serve.service"), text).unwrap();
    };
    unit("/var/lib/kubelet/kubelte.key");
    insta::assert_snapshot!("no_such_key", told(&project, &images));
    unit("/srv/tls.key");
    insta::assert_snapshot!("no_such_key_elsewhere", told(&project, &images));
    unit("/var/lib/kubelet/kubelet.key");
    // Now nothing is wrong but that there are no packages.
    let said = project.build(&["--profile", "1cp-2workers", "--images", &images]);
    assert!(said.contains("/nowhere/debian"), "{said}");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let said = Project::new().refuse(&["--profile", "single", "--debian-mirror", "debian.example"]);
    insta::assert_snapshot!(said);
}

#[test]
fn wrong_arguments_end_with_the_callers_code() {
    for args in [&["build"][..], &["build", "--profile", "single", "--arch", "s390x"], &["bulid"]] {
        Command::cargo_bin("builder").unwrap().env_clear().args(args).assert().code(1).stdout("");
    }
}

/// Every package of the lock is on the mirror, and none is what the lock says.
#[test]
fn a_checksum_that_does_not_match_is_named_and_nothing_enters_the_store() {
    let project = Project::new();
    let lock = Lock::load(&project.path("lockfile.toml")).unwrap();
    let sources = lock.source.values().flat_map(|source| source.files.iter().map(|file| &file.file));
    for file in lock.deb.values().flatten().map(|deb| &deb.file).chain(sources) {
        let path = project.path("mirror/debian").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not a package").unwrap();
    }
    let mirror = format!("file://{}", project.path("mirror/debian").display());
    let said = project.build(&["--profile", "single", "--debian-mirror", &mirror]);
    // Several packages are on their way at once; which one is complained about first is a matter of luck.
    insta::with_settings!({ filters => [
        (r"fetching \d+ files, \d+ MB", "fetching N files, N MB"),
        (r"error: .*: the checksum", "error: PACKAGE: the checksum"),
        (r"expected sha256:[0-9a-f]{64}", "expected sha256:LOCKED"),
        (r"bytes of \d+", "bytes of N"),
        (r"debian/pool/.*", "debian/pool/PACKAGE"),
        (r"(?m)^note: .*\n", ""),
    ]}, { insta::assert_snapshot!(said); });
    assert_eq!(fs::read_dir(project.path("store/files")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(project.path("store/steps")).unwrap().count(), 0);
    assert!(!project.path("out").exists() && !project.path("secrets").exists());
}

#[test]
fn without_the_network_an_empty_store_is_named() {
    let project = Project::new();
    // Nobody listens there, and nobody is asked.
    let mirror = "http://127.0.0.1:9/debian";
    let said = project.build(&["--profile", "single", "--offline", "--debian-mirror", mirror]);
    insta::with_settings!({ filters => [
        (r"error: .* is not", "error: PACKAGE is not"),
        (r"\d+ files", "N files"),
        (r"(?m)^note: .*\n", ""),
    ]}, { insta::assert_snapshot!(said); });
    assert!(!project.path("out").exists() && !project.path("secrets").exists());
}

#[test]
fn without_the_network_a_build_of_root_is_in_an_empty_network_namespace() {
    let project = Project::new();
    let mut command = project.builder(&["build", "--profile", "single", "--offline"]);
    let output = command.env("KILN_LOG", "builder=debug").env("NO_COLOR", "1").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let isolated = format!("the network is forbidden isolated={}", nix::unistd::geteuid().is_root());
    assert!(stderr.contains(&isolated), "{stderr}");
}

#[test]
fn the_checkouts_profiles_are_planned() {
    for profile in builder::profile::names(&checkout().join("profiles")) {
        let request = Request {
            project: checkout().to_owned(),
            lockfile: builder::lockfile::path(checkout()),
            images: None,
            profile,
            release: None,
            arch: builder::ground::arch::Arch::Amd64,
        };
        Plan::resolve(&request).unwrap();
    }
}

/// A renewal is a line of the profile: comments stay, the certificate is another one, and so is what it signs.
#[test]
fn certificates_are_renewed_by_the_profile() {
    let project = Project::new();
    let profile = "profiles/1cp-2workers.toml";
    project.edit(profile, "[cluster]", "# kept\n[cluster]");
    let certs = |args: &[&str]| project.builder(&[&["certs"], args].concat()).output().unwrap();
    let issued = || {
        let request = Request {
            project: project.path(""),
            profile: "1cp-2workers".to_owned(),
            release: None,
            arch: builder::ground::arch::Arch::Amd64,
            lockfile: project.path("lockfile.toml"),
            images: None,
        };
        let plan = Plan::resolve(&request).unwrap();
        let secret = builder::pki::secret::ClusterSecret::from_bytes([7; 32]);
        let pki = builder::identity::cluster::pki(&plan, &secret).unwrap();
        let one =
            |it: &builder::pki::Issued| (it.label.clone(), (it.issuer.to_owned(), it.certificate.clone()));
        pki.list().map(one).collect::<std::collections::BTreeMap<_, _>>()
    };
    let changed = |one: &std::collections::BTreeMap<String, (String, String)>| {
        let now = issued();
        one.iter()
            .filter(|(label, it)| now[*label] != **it)
            .map(|(label, _)| label.clone())
            .collect::<Vec<_>>()
    };
    let first = issued();
    let output = certs(&["renew", "--profile", "1cp-2workers", "node/node-0"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(project.path(profile)).unwrap();
    assert!(text.contains("# kept") && text.contains("[pki.generation]\n\"node/node-0\" = 2\n"), "{text}");
    assert_eq!(changed(&first), ["node/node-0"]);
    let second = issued();
    certs(&["renew", "--profile", "1cp-2workers", "node/node-0", "etcd-ca"]);
    let text = fs::read_to_string(project.path(profile)).unwrap();
    assert!(!text.contains("[pki]\n") && text.contains("\"node/node-0\" = 3\netcd-ca = 2\n"), "{text}");
    let by_etcd = second
        .iter()
        .filter(|(label, (issuer, _))| *label == "etcd-ca" || issuer == "etcd-ca" || *label == "node/node-0");
    assert_eq!(changed(&second), by_etcd.map(|(label, _)| label.clone()).collect::<Vec<_>>());
    // A label that is none changes nothing; one in the profile is told with its line.
    let output = certs(&["renew", "--profile", "1cp-2workers", "node/nod-0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("did you mean `node/node-0`?"), "{said}");
    assert_eq!(fs::read_to_string(project.path(profile)).unwrap(), text);
    project.edit(profile, "etcd-ca = 2", "etcd-co = 2");
    let line = 1 + text.lines().position(|line| line.starts_with("etcd-ca")).unwrap();
    let said = project.refuse(&["--profile", "1cp-2workers"]);
    let fact = format!("{profile}:{line}: `pki`: `etcd-co` is not a key of this cluster");
    assert!(said.contains(&fact), "{said}");
}
