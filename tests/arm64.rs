//! Images of arm64, made on a machine of amd64: their content, the same bytes again, and machines that boot them,
//! emulated.

#![expect(clippy::disallowed_methods, reason = "how long machines take")]

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use crate::support::{self, another_store, bare, builder, debugfs, fresh, project, raw, secret, text, tools};
use builder::results::cluster::ClusterJson;
use fs_err as fs;

/// Of Debian and firstboot alone: nothing is compiled for it.
#[test]
#[ignore = "the long tier: `./test long`"]
fn a_bare_image_has_its_content_and_boots() {
    let out = fresh("arm64");
    let lab = Lab { project: bare(&out), profile: "bare", out };
    lab.build(&[]);
    let cluster = ClusterJson::load(&lab.results()).unwrap();
    expect_content(&cluster);

    let disk = raw(&tools(), &lab.results().join("bare.qcow2"), &lab.out);
    let file = String::from_utf8(debugfs(&tools(), &disk, "cat /var/lib/dpkg/arch")).unwrap();
    assert_eq!(file, "arm64\n");
    fs::remove_file(disk).unwrap();

    let since = Instant::now();
    lab.run("up", &["--wait", "login", "--timeout", "900"]);
    lab.say(&format!("arm64: a bare machine at its login prompt after {} s", since.elapsed().as_secs()));
    let console = lab.run("logs", &["server"]);
    assert!(console.contains("firstboot: server: applied "), "{console}");
}

/// A whole cluster in one machine. It compiles Kubernetes, unless the store has it.
#[test]
#[ignore = "the long tier: `./test long`"]
fn a_cluster_is_the_same_again_and_turns_ready() {
    let out = fresh("arm64-single");
    let lab = Lab { project: project(), profile: "single", out };
    lab.build(&[]);
    let first = ClusterJson::load(&lab.results()).unwrap();

    let again = Lab { project: project(), profile: "single", out: fresh("arm64-again") };
    let store = another_store(&again.out);
    again.build(&["--store", text(&store)]);
    assert_eq!(first.images, ClusterJson::load(&again.results()).unwrap().images);
    fs::remove_dir_all(store).unwrap();

    let since = Instant::now();
    lab.run("up", &["--wait", "ready", "--timeout", "1800"]);
    lab.say(&format!("arm64: a cluster of one machine Ready after {} s", since.elapsed().as_secs()));
    let status: serde_json::Value = serde_json::from_str(&lab.run("status", &["--json"])).unwrap();
    assert_eq!(status["nodes"][0]["kubernetes"]["ready"], true, "{status:#}");
}

/// The same content as when this was last written down, on whatever machine that was: `KILN_ACCEPT=1 ./test` writes it.
fn expect_content(cluster: &ClusterJson) {
    let path = project().join("tests/expected/arm64-bare.sums");
    let found: String =
        cluster.images.iter().map(|image| format!("{}  {}\n", image.content_sha256, image.role)).collect();
    if std::env::var_os("KILN_ACCEPT").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap_or_default(), "{} is out of date", path.display());
}

/// A project, one of its profiles, and the folder above its results.
struct Lab {
    project: PathBuf,
    profile: &'static str,
    out: PathBuf,
}

impl Lab {
    fn results(&self) -> PathBuf {
        self.out.join(self.profile)
    }

    fn run(&self, command: &str, arguments: &[&str]) -> String {
        let project = ["--project", text(&self.project)];
        let results = ["--profile", self.profile, "--out", text(&self.out)];
        builder(&[&project, &[command][..], &results, arguments].concat())
    }

    fn build(&self, arguments: &[&str]) {
        let secret = secret(&self.out, 7);
        self.run("build", &[&["--arch", "arm64", "--secret", text(&secret)], arguments].concat());
    }

    /// A figure for people; `./test` shows the file.
    fn say(&self, text: &str) {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(self.out.join("figures")).unwrap();
        file.write_all(format!("{text}\n").as_bytes()).unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let mut down = assert_cmd::Command::new(support::BUILDER);
        let down = down.args(["--project", text(&self.project), "down", "--grace", "0"]);
        let _ = down.args(["--profile", self.profile, "--out", text(&self.out)]).output();
    }
}
