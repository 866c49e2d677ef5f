//! A built profile, its machines and the way into its cluster.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use builder::disk;
use builder::profile::Profile;
use builder::results::cluster::ClusterJson;
use firstboot::schema::Duty;
use fs_err as fs;
use serde_json::Value;

use crate::support::{BUILDER, End, builder, fresh, program, project, say, secret, text, tools};

/// Two pods, one on each worker, that tell who asks them; a Service; a Secret; a pod's log to read.
pub const WORKLOAD: &str = include_str!("cluster/workload.yaml");

/// A volume and a pod that uses it.
const CLAIM: &str = include_str!("cluster/claim.yaml");

#[expect(clippy::disallowed_methods, reason = "how long machines take is what these tests tell")]
pub fn now() -> Instant {
    Instant::now()
}

/// What an attempt brings once it succeeds: an emulated cluster may take its time.
pub fn eventually<T>(attempt: impl Fn() -> Result<T, String>) -> T {
    let since = now();
    loop {
        match attempt() {
            Ok(result) => return result,
            Err(error) => assert!(since.elapsed() < Duration::from_secs(600), "{error}"),
        }
        std::thread::sleep(Duration::from_secs(3));
    }
}

/// A built profile and the way into its cluster.
pub struct Lab {
    /// Name or path of the profile.
    profile: String,
    pub out: PathBuf,
    /// The folder of results.
    pub results: PathBuf,
    pub kubectl: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_why();
        }
        drop(End(&self.profile, &self.out));
    }
}

/// What a control plane says of its services: what waits, what failed, and the last of each journal.
const WHY: &str = "systemctl --no-pager list-jobs; systemctl --no-pager --failed; \
    for unit in kiln-firstboot etcd kube-apiserver kube-controller-manager kiln-bootstrap kubelet; do \
    echo \"== $unit\"; systemctl show --property ActiveState,SubState,NRestarts $unit; \
    journalctl --no-pager --boot --output short-monotonic --lines 25 --unit $unit; done";

/// What a component says of a configuration that is not quite its own.
const COMPLAINTS: &str = "journalctl --boot --no-pager --output cat --unit 'kube*' | \
    grep -iE 'deprecat|strict decoding|unknown (field|flag)|unrecognized feature gate|will be removed' || true";

impl Lab {
    /// A figure for people; `./test` shows the file.
    pub fn say(&self, text: &str) {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(self.out.join("figures")).unwrap();
        std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes()).unwrap();
    }

    /// Builds the images, and takes kubectl out of one.
    pub fn build(name: &str, profile: &str) -> Self {
        Self::build_with(name, profile, &[])
    }

    /// The same with more arguments of `builder build`.
    pub fn build_with(name: &str, profile: &str, arguments: &[&str]) -> Self {
        let out = fresh(name);
        let secret = secret(&out, 7);
        let build = ["build", "--profile", profile, "--out", text(&out), "--secret", text(&secret)];
        builder(&[&build, arguments].concat());
        let results = out.join(Path::new(profile).file_stem().unwrap());
        let tools = tools();
        let cluster = ClusterJson::load(&results).unwrap();
        let image = &cluster.with(Duty::ApiServer).next().unwrap().image;
        let raw = out.join("control-plane.raw");
        disk::to_raw(&tools, &results.join(image), &raw).unwrap();
        let kubectl = out.join("kubectl");
        program(&tools, &raw, "/usr/local/bin/kubectl", &kubectl);
        fs::remove_file(raw).unwrap();
        Self { profile: profile.to_owned(), out, results, kubectl }
    }

    pub fn run(&self, command: &[&str], arguments: &[&str]) -> String {
        builder(&[command, &["--profile", &self.profile, "--out", text(&self.out)], arguments].concat())
    }

    /// What a command that succeeds tells beside what it prints.
    pub fn said(&self, command: &[&str], arguments: &[&str]) -> String {
        let results = ["--profile", &self.profile, "--out", text(&self.out)];
        say(&[command, &results, arguments].concat()).stderr
    }

    /// What a command says that is refused.
    pub fn refused(&self, command: &[&str]) -> String {
        let mut refused = assert_cmd::Command::new(BUILDER);
        refused.current_dir(project()).args(command);
        let output = refused.args(["--profile", &self.profile, "--out", text(&self.out)]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Starts machines and waits until they are Ready and take pods; how long each took, as text.
    pub fn up(&self, arguments: &[&str]) -> String {
        let since = now();
        let up = ["up", "--timeout", "1500", "--profile", &self.profile, "--out", text(&self.out)];
        let said = say(&[&up, arguments].concat()).stderr;
        let all = since.elapsed().as_secs();
        let ready = said.lines().filter_map(|line| line.split_once(": Ready at ")?.1.strip_suffix(" s"));
        let ready = ready.map(|seconds| seconds.parse::<u64>().unwrap()).max();
        self.way_in();
        format!("{} s, pods after {all} s", ready.expect("a node says when it is Ready"))
    }

    /// A kubeconfig for a control plane that answers.
    pub fn way_in(&self) {
        self.run(&["kubeconfig", "--output", text(&self.out.join("kubeconfig"))], &[]);
    }

    pub fn down(&self, arguments: &[&str]) {
        self.run(&["down"], arguments);
    }

    pub fn ssh(&self, node: &str, command: &str) -> String {
        self.run(&["ssh"], &[node, "--", command])
    }

    /// Shown with a failure: the machines are gone after it.
    #[expect(clippy::print_stderr, reason = "the harness shows it when the test fails")]
    fn tell_why(&self) {
        let mut ssh = assert_cmd::Command::new(BUILDER);
        ssh.current_dir(project()).args(["ssh", "--profile", &self.profile, "--out", text(&self.out)]);
        let said = ssh.args(["server", "--", WHY]).timeout(Duration::from_secs(120)).output();
        let said =
            said.map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
        eprintln!("{}", said.unwrap_or_else(|error| error.to_string()));
    }

    pub fn kubectl(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut kubectl = assert_cmd::Command::new(&self.kubectl);
        kubectl
            .arg("--kubeconfig")
            .arg(self.out.join("kubeconfig"))
            .arg("--cache-dir")
            .arg(self.out.join("cache"));
        kubectl.args(["--request-timeout", "60s"]).args(arguments);
        kubectl
    }

    /// What kubectl prints when it succeeds and `is_right` agrees.
    pub fn try_once(&self, arguments: &[&str], is_right: impl Fn(&str) -> bool) -> Result<String, String> {
        let output = self.kubectl(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && is_right(&said) {
            return Ok(said);
        }
        Err(format!("kubectl {arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The same, asked until it does.
    pub fn ask(&self, arguments: &[&str], is_right: impl Fn(&str) -> bool) -> String {
        eventually(|| self.try_once(arguments, &is_right))
    }

    /// The cluster's own view: services, certificates, keys, ports, etcd, encryption, strangers, pods and Services.
    pub fn expect_checks(&self) {
        let status = self.run(&["status", "--checks", "--json"], &[]);
        let status: Value = serde_json::from_str(&status).unwrap();
        let checks = status["checks"].as_array().unwrap();
        let mut names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        let mut expected = vec![
            "anonymous",
            "certificates",
            "encryption",
            "etcd",
            "keys",
            "logs",
            "node-to-node",
            "nodes",
            "pod-to-Service",
            "pod-to-pod",
            "ports",
            "services",
        ];
        let profile = fs::read_to_string(project().join(Profile::path(&project(), &self.profile))).unwrap();
        expected.extend(profile.contains("virtual-address").then_some("virtual-address"));
        let addons = self.addons();
        let of_addons = [
            ("coredns", "names"),
            ("kube-network-policies", "network-policy"),
            ("local-path", "volume"),
            ("metrics-server", "metrics"),
        ];
        expected
            .extend(of_addons.iter().filter(|(addon, _)| addons.contains(*addon)).map(|(_, check)| check));
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert!(checks.iter().all(|check| check["ok"] == true), "{checks:#?}");
        let cluster = ClusterJson::load(&self.results).unwrap();
        let pods: Vec<&str> = cluster.with(Duty::Kubelet).map(|node| node.name.as_str()).collect();
        for node in status["nodes"].as_array().unwrap() {
            let runs_pods = pods.contains(&node["name"].as_str().unwrap());
            assert_eq!(node["kubernetes"]["ready"] == true, runs_pods, "{node:#}");
        }
    }

    /// Each component took its configuration as it is: none calls a part of it unknown, deprecated or ignored.
    pub fn expect_configurations_are_current(&self, nodes: &[&str]) {
        for node in nodes {
            let said = self.ssh(node, COMPLAINTS);
            assert!(said.is_empty(), "{node}: {said}");
        }
    }

    /// What runs in the cluster besides, as the build says.
    pub fn addons(&self) -> BTreeSet<String> {
        ClusterJson::load(&self.results).unwrap().addons.into_iter().collect()
    }

    pub fn apply(&self, manifest: &str) {
        let path = self.out.join("manifest.yaml");
        fs::write(&path, manifest).unwrap();
        self.ask(&["apply", "--filename", text(&path)], |_| true);
    }

    /// What a pod with a claimed volume at /data says when it is through; the claim outlives it.
    pub fn with_volume(&self, pod: &str, command: &str) -> String {
        let claim = CLAIM.replace("@image@", &self.busybox());
        self.apply(&claim.replace("@pod@", pod).replace("@command@", command));
        let phase = ["get", "pod", pod, "--output", "jsonpath={.status.phase}"];
        self.ask(&phase, |said| said == "Succeeded");
        let said = self.ask(&["logs", pod], |_| true);
        self.ask(&["delete", "pod", pod], |_| true);
        said
    }

    /// A pod's name and address by the node it runs on, when all are there.
    pub fn pods(&self) -> Result<Vec<(String, String, String)>, String> {
        let columns = "custom-columns=NODE:.spec.nodeName,NAME:.metadata.name,IP:.status.podIP,READY:.status.containerStatuses[0].ready";
        let arguments = ["get", "pods", "--selector", "app=who", "--no-headers", "--output", columns];
        let ready = |said: &str| said.lines().count() == 2 && said.lines().all(|line| line.ends_with("true"));
        let said = self.try_once(&arguments, ready)?;
        let mut pods: Vec<_> = said
            .lines()
            .map(|line| {
                let mut words = line.split_whitespace().map(str::to_owned);
                let mut next = || words.next().unwrap();
                (next(), next(), next())
            })
            .collect();
        pods.sort();
        Ok(pods)
    }

    /// Writes objects until the last moment; each that the API server acknowledged has to outlive a power cut.
    pub fn write_records(&self, count: usize) -> Vec<String> {
        let create = |number: usize| {
            let name = format!("record-{number}");
            self.ask(&["create", "configmap", &name, "--from-literal=written=yes"], |_| true);
            name
        };
        (0..count).map(create).collect()
    }

    pub fn expect_records(&self, names: &[String]) {
        let said = self.ask(&["get", "configmaps", "--output", "name"], |_| true);
        for name in names {
            assert!(said.lines().any(|line| line == format!("configmap/{name}")), "{name} is lost: {said}");
        }
    }

    /// The reference of busybox, as the last node has it.
    pub fn busybox(&self) -> String {
        let node = ClusterJson::load(&self.results).unwrap().nodes.pop().unwrap();
        let images = self.ssh(&node.name, "ctr --namespace k8s.io images list --quiet");
        images.lines().find(|line| line.contains("busybox")).unwrap().to_owned()
    }

    /// Each pod reaches the other by its address and is seen with its own, and each reaches the Service.
    pub fn expect_pods_talk(&self) {
        // After a restart the API server still shows the pods of before: nothing of an attempt is kept for the next.
        eventually(|| self.try_pods_talk());
    }

    pub fn try_pods_talk(&self) -> Result<(), String> {
        let pods = self.pods()?;
        assert_eq!((pods[0].0.as_str(), pods[1].0.as_str()), ("node-0", "node-1"), "{pods:?}");
        let address = ["get", "service", "who", "--output", "jsonpath={.spec.clusterIP}"];
        let service = self.try_once(&address, |said| !said.is_empty())?;
        for (from, to) in [(0, 1), (1, 0)] {
            let (name, own, other) = (&pods[from].1, &pods[from].2, &pods[to].2);
            let fetch = |address: &str| format!("wget -q -T 20 -O - http://{address}:8080/cgi-bin/who");
            let ask = |address: &str, is_right: &dyn Fn(&str) -> bool| {
                self.try_once(&["exec", name, "--", "sh", "-c", &fetch(address)], is_right)
            };
            // It is seen with its own address; which pod answers for the Service does not matter.
            ask(other, &|said| said.trim() == own)?;
            ask(&service, &|said| !said.trim().is_empty())?;
        }
        Ok(())
    }
}
