//! The project, and a copy of it with one small role, which has cloud-init beside firstboot when that is asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use builder::lockfile::Lock;
use builder::results::cluster::ClusterJson;
use fs_err as fs;

use crate::support::{self, BUILDER, run, secret, text, tools};

/// The small role's profile.
pub const PROFILE: &str = "beside";
/// Its only node.
pub const NODE: &str = "one";
/// What the seed says.
pub const HOSTNAME: &str = "blue";
pub const USER: &str = "ada";
pub const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIA0A7RlFdZNSlDSgoNTNTJ3eTxaCm0yC4bIUbJ8sVnV6";

const NODES: &str = r#"
[cluster]
name = "beside"
pod-cidr = "10.200.0.0/16"
service-cidr = "10.32.0.0/24"

[network]
mode = "static"
cidr = "192.168.122.0/24"
gateway = "192.168.122.1"
dns = ["192.168.122.1"]

[[node]]
name = "one"
role = "beside"
ip = "192.168.122.10"
cpus = 1
memory = "1GiB"
"#;

/// What every node has and nothing more. A control plane, since a cluster must have one.
const ROLE: &str = r#"
description = "The base alone"
parts = ["base"]
architectures = ["amd64"]
duties = ["kubelet", "etcd", "api-server", "controllers"]
"#;

/// cloud-init is spared what firstboot does not do: to look for other clouds, to make host keys, to grow the disk.
const SPARED: &str = "datasource_list: [NoCloud]\nssh_deletekeys: false\nssh_genkeytypes: []\n\
    growpart: {mode: 'off'}\nresize_rootfs: false\n";

/// A project, with the secret of the benchmark.
pub struct Project {
    folder: PathBuf,
    out: PathBuf,
    secret: PathBuf,
}

impl Project {
    /// Kiln's own.
    pub fn whole(out: &Path) -> Self {
        Self { folder: support::project(), out: out.to_owned(), secret: secret(out, 7) }
    }

    /// A copy with the small role, in `out`, and with the packages that Debian has now: with and without cloud-init, the
    /// rest is to be the same.
    pub fn small(out: &Path) -> Self {
        let folder = out.join("project");
        for part in ["images", "recipes", "lockfile.toml"] {
            copy(&support::project().join(part), &folder.join(part));
        }
        // What multipass looks for is in cloud-init's way.
        fs::remove_dir_all(folder.join("images/base/files/var/lib/cloud")).unwrap();
        write(&folder.join("profiles/beside.toml"), NODES);
        write(&folder.join("images/beside/image.toml"), ROLE);
        let project = Self { folder, ..Self::whole(out) };
        project.run(&["lock", "update"]);
        project
    }

    /// Adds cloud-init to the role, with every package that comes with it; answers those.
    pub fn add_cloud_init(&self) -> Vec<String> {
        let base = self.folder.join("images/base/image.toml");
        let recipe = fs::read_to_string(&base).unwrap();
        let (before, after) = recipe.split_once("include = [\n").expect("the base has packages");
        write(&base, &format!("{before}include = [\n  \"cloud-init\",\n{after}"));
        write(&self.folder.join("images/beside/files/etc/cloud/cloud.cfg.d/99-bench.cfg"), SPARED);
        let before = self.packages();
        self.run(&["lock", "update"]);
        self.packages().difference(&before).cloned().collect()
    }

    fn packages(&self) -> BTreeSet<String> {
        let lock = Lock::load(&self.folder.join("lockfile.toml")).unwrap();
        let debs = lock.deb.into_values().flatten().filter(|deb| deb.roots.contains("base"));
        debs.map(|deb| deb.name).collect()
    }

    /// The folder of results.
    pub fn build(&self, profile: &str, out: &str) -> PathBuf {
        let out = self.out.join(out);
        self.run(&["build", "--profile", profile, "--secret", text(&self.secret), "--out", text(&out)]);
        out.join(profile)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut command = Command::new(BUILDER);
        command.args(["--project", text(&self.folder)]).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments)).stdout
    }

    /// Options of QEMU for a disk from which both programs take the same values.
    pub fn seed(&self, results: &Path) -> Vec<String> {
        let node = ClusterJson::load(results).unwrap().nodes.remove(0);
        let network = format!(
            "version: 2\nethernets:\n  lan:\n    match: {{macaddress: '{}'}}\n    addresses: ['{}/24']\n    \
             gateway4: 192.168.122.1\n    nameservers: {{addresses: [192.168.122.1]}}\n",
            node.mac,
            node.address()
        );
        let user = format!(
            "#cloud-config\nhostname: {HOSTNAME}\nusers:\n  - name: {USER}\n    shell: /bin/bash\n    \
             ssh_authorized_keys: ['ssh-ed25519 {KEY} {USER}']\n"
        );
        let meta = format!("instance-id: bench\nlocal-hostname: {HOSTNAME}\n");
        let tools = tools().lend(results, "/kiln/results");
        tools.run(["mkfs.fat", "-C", "-n", "CIDATA", "/kiln/results/seed.img", "1024"]).unwrap();
        for (file, text) in [("meta-data", &meta), ("user-data", &user), ("network-config", &network)] {
            write(&results.join(file), text);
            let file = format!("/kiln/results/{file}");
            tools.run(["mcopy", "-i", "/kiln/results/seed.img", &file, "::/"]).unwrap();
        }
        // As QEMU sees the folder of results.
        let drive = "if=virtio,format=raw,readonly=on,file=/kiln/cluster/seed.img";
        ["-drive", drive].map(str::to_owned).to_vec()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A file, or a folder with everything in it; who may run a file stays the same.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
