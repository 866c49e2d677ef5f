//! A project of a few lines: one role that installs one file of this machine, and a lock whose packages are nowhere.

#![allow(dead_code, reason = "each test uses its part")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use builder::embedded;
use builder::ground::arch::Arch;
use builder::ground::repro::sha256_hex;
use builder::lockfile::Lock;
use builder::stage::source;
use builder::store::{StepKey, Store};
use fs_err as fs;

const PROFILE: &str = r#"
[cluster]
name = "small"
release = "upstream"
pod-cidr = "10.200.0.0/16"
service-cidr = "10.32.0.0/24"

[network]
mode = "static"
cidr = "192.168.122.0/24"

[[node]]
name = "a"
role = "tiny"
ip = "192.168.122.10"
"#;

const ROLE: &str = r#"
description = "One file"
architectures = ["amd64"]
duties = ["kubelet", "etcd", "api-server", "controllers"]

[install]
"tool:tool" = "/usr/bin/tool"
"#;

/// What is asked of every step: the bytes that the lock's build and packages have do not exist.
pub struct Project(tempfile::TempDir);

impl Project {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/good-lock.toml");
        let lock = fs::read_to_string(fixture).unwrap();
        let lock = lock.replacen(&"f".repeat(64), &embedded::sha256(Arch::Amd64), 1);
        let files = [
            ("lockfile.toml", lock.as_str()),
            ("profiles/small.toml", PROFILE),
            ("images/base/setup-hook", "true\n"),
            ("images/tiny/image.toml", ROLE),
            ("images/tiny/files/etc/motd", "hello\n"),
            ("recipes/hello/build.sh", "true\n"),
        ];
        let project = Self(folder);
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    /// With all that the builds of `small` read: packages in `mirror/`, a tool in `bin/`.
    pub fn with_content() -> Self {
        let project = Self::new();
        let (package, source, tool) = ("p".repeat(30), "s".repeat(10), "tool");
        let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
        let hashes = [("d", package.as_str()), ("a", &source), ("1", tool), ("b", "made")];
        let lock = hashes
            .into_iter()
            .fold(lock, |lock, (digit, content)| lock.replace(&digit.repeat(64), &sha256_hex(content)));
        let table = "[release.upstream.component]\n";
        project.write(
            "lockfile.toml",
            &lock.replace(table, &format!("{table}hello = {{ build = \"hello\" }}\n")),
        );
        project.write("images/tiny/image.toml", &format!("{ROLE}\"hello:hello\" = \"/usr/bin/hello\"\n"));
        project.write("mirror/debian/pool/main/k/kmod/kmod_34.2-2_amd64.deb", &package);
        project.write("mirror/debian/pool/main/h/hello/hello_1.0-1.dsc", &source);
        project.write("bin/amd64", tool);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// As [`Project::with_content`], with all of it in the store, as if `hello` had been compiled.
    pub fn full() -> Self {
        let project = Self::with_content();
        let mirror = format!("file://{}", project.path("mirror/debian").display());
        let (code, _, stderr) = project.run(&["fetch", "--profile", "small", "--debian-mirror", &mirror]);
        assert_eq!(code, 0, "{stderr}");
        project.hello();
        project
    }

    /// As [`Project::with_content`], with a package of so many bytes.
    pub fn large(size: usize) -> Self {
        let project = Self::with_content();
        let package: String = "0123456789abcdef".repeat(size / 16);
        let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
        let lock = lock.replace(&sha256_hex("p".repeat(30)), &sha256_hex(&package));
        project.write("lockfile.toml", &lock.replace("size = 30", &format!("size = {size}")));
        project.write("mirror/debian/pool/main/k/kmod/kmod_34.2-2_amd64.deb", &package);
        project
    }

    pub fn lock(&self) -> Lock {
        Lock::load(&self.path("lockfile.toml")).unwrap()
    }

    /// The key of the source build of `hello`.
    fn key(&self) -> StepKey {
        let (root, lock, arch) = (self.path(""), self.lock(), Arch::Amd64);
        let build = &lock.build["hello"];
        source::key(&root, &lock, ("hello", build), arch).unwrap()
    }

    /// The source build of `hello`, as if it had been compiled; the name of its step.
    pub fn hello(&self) -> String {
        let (key, store) = (self.key(), Store::open(&self.path("store")).unwrap());
        let make = |out: &Path| {
            fs::write(out.join("hello"), "made")?;
            fs::set_permissions(out.join("hello"), std::fs::Permissions::from_mode(0o755))?;
            let sums = format!("{{\"hello\":\"{}\"}}", sha256_hex("made"));
            Ok(fs::write(out.join(".sha256.json"), sums)?)
        };
        store.step(&key, make).unwrap();
        key.folder()
    }

    /// Where the package, the source and the compiled program lie below a store.
    pub fn entries(&self) -> [String; 3] {
        let lock = self.lock();
        let package = &lock.deb.values().flatten().find(|deb| deb.name == "kmod").unwrap().sha256;
        let source = &lock.source["hello"].files[0].sha256;
        [
            format!("files/{package}"),
            format!("files/{source}"),
            format!("steps/{}/hello", self.key().folder()),
        ]
    }

    /// Nothing entered the store, and nothing unfinished is left.
    pub fn is_empty(&self) {
        for folder in ["files", "steps", "tmp"] {
            let entries = fs::read_dir(self.path("store").join(folder)).unwrap();
            assert_eq!(entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>(), Vec::<PathBuf>::new());
        }
    }

    /// The program in the project's folder, with its store there: exit code, standard output and standard error.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        self.run_with(&[], args)
    }

    /// The same with an environment.
    pub fn run_with(&self, env: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
        run_with(env, self.0.path(), &[args, &["--store", "store"]].concat())
    }
}

/// The program in a folder.
pub fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    run_with(&[], folder, args)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test, called as it is when the shell finds it"
)]
fn run_with(env: &[(&str, &str)], folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_builder"));
    program.arg0("builder");
    let mut command = Command::from_std(program);
    command.env_clear().envs(env.iter().copied());
    let output = command.current_dir(folder).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
