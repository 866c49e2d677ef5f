//! A project of a few lines: one role that installs one file of this machine, and a lock whose packages are nowhere.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use builder::embedded;
use builder::lock::format::Arch;
use builder::repro::sha256_hex;
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
control-plane = true

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

    /// The program in the project's folder, with its store there: exit code, standard output and standard error.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        run(self.0.path(), &[args, &["--store", "store"]].concat())
    }
}

/// The program in a folder.
pub fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("builder").unwrap();
    let output = command.env_clear().current_dir(folder).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
