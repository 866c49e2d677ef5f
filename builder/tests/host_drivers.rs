//! The drivers for this host's libvirt and multipass, against programs of the same names that note how they are called
//! and answer as those do. What the real ones make of the calls is not seen here.

mod libvirt;
mod multipass;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use builder::results::cluster::ClusterJson;
use fs_err as fs;

/// A built cluster of a control plane `a` and a worker `b`, and a folder of programs.
struct Lab {
    folder: tempfile::TempDir,
}

/// What a run of `builder` ended with.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Lab {
    fn new(programs: &[(&str, &str)]) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(lab.path("bin")).unwrap();
        fs::create_dir_all(lab.path("out/lab")).unwrap();
        for (name, text) in programs {
            crate::script::write(&lab.path(&format!("bin/{name}")), text);
        }
        fs::write(lab.path("lab.toml"), include_str!("host_drivers/lab.toml")).unwrap();
        let mut image = b"QFI\xfb".to_vec();
        image.resize(24, 0);
        image.extend((1u64 << 30).to_be_bytes());
        for role in ["single", "worker"] {
            fs::write(lab.path(&format!("out/lab/{role}.qcow2")), &image).unwrap();
        }
        let kubeconfig = "clusters:\n- cluster:\n    server: https://a.kubernetes.local:6443\n";
        fs::write(lab.path("out/lab/admin.kubeconfig"), kubeconfig).unwrap();
        lab.describe('a', "null");
        lab
    }

    /// Writes cluster.json; `digit` makes the images' hashes.
    fn describe(&self, digit: char, seed: &str) {
        let sha256 = digit.to_string().repeat(64);
        let image = |role: &str| {
            format!(
                r#"{{"role":"{role}","path":"{role}.qcow2","format":"qcow2","size":1,"sha256":"{sha256}",
                "content_sha256":"{sha256}"}}"#
            )
        };
        let node = |name: &str, role: &str, host: u8, disk: &str, ports: &str| {
            format!(
                r#"{{"name":"{name}","role":"{role}","image":"{role}.qcow2","mac":"52:54:00:00:00:{host}",
                "ip":"10.9.8.{host}","pod_cidr":"10.200.{host}.0/24","cpus":2,"memory_mib":1536,"disk_mib":{disk},
                "ports":[{ports}],"seed":{seed}}}"#
            )
        };
        let text = format!(
            r#"{{"version":1,"name":"lab","release":"debian","arch":"amd64","network":{{"cidr":"10.9.8.0/24","gateway":null}},
            "images":[{},{}],"nodes":[{},{}]}}"#,
            image("single"),
            image("worker"),
            node("a", "single", 10, "8192", "22,6443"),
            node("b", "worker", 11, "null", "22"),
        );
        let cluster = ClusterJson::parse(Path::new("cluster.json"), &text).unwrap();
        fs::write(self.path("out/lab/cluster.json"), cluster.to_text().unwrap()).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs `builder VERB --profile … WORDS` with our programs before the host's.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test, called as it is when the shell finds it"
    )]
    fn builder(&self, verb: &str, words: &[&str]) -> Said {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_builder"));
        program.arg0("builder");
        let mut command = assert_cmd::Command::from_std(program);
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.env("PATH", path).env("FAKE", self.folder.path()).env_remove("LIBVIRT_DEFAULT_URI");
        command.arg(verb).arg("--profile").arg(self.path("lab.toml")).arg("--out").arg(self.path("out"));
        let output = command.args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(&*self.name(), "[LAB]");
        Said {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The same; it has to go well.
    fn done(&self, verb: &str, words: &[&str]) -> Said {
        let said = self.builder(verb, words);
        assert_eq!(said.code, 0, "{verb} {words:?}: {}{}", said.stderr, said.stdout);
        said
    }

    /// How the programs were called since the last time, a line a call.
    fn calls(&self) -> String {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        calls.replace(&*self.name(), "[LAB]")
    }

    fn name(&self) -> String {
        fs::canonicalize(self.folder.path()).unwrap().display().to_string()
    }
}

/// Tells its words, as the calls are noted.
const SSH: &str = "#!/bin/sh\necho \"ssh $*\"\n";
