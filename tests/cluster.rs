//! A real cluster: the machines of the profile from power-on to Ready in QEMU, and what must hold from then on, through
//! power cuts, replaced machines and a control plane that comes late.

mod pcap;
mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use builder::disk;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use serde_json::Value;
use support::{PROFILE, build, builder, debugfs, fresh, say, text, tools};

/// Two pods, one on each worker, that tell who asks them; a Service; a Secret; a pod's log to read.
const WORKLOAD: &str = include_str!("cluster/workload.yaml");

#[test]
fn three_machines_become_a_cluster_and_stay_one() {
    let lab = Lab::build("cluster");

    let took = lab.up(&["--capture"]);
    lab.say(&format!("three nodes Ready after power-on: {took}"));
    lab.expect_no_egress();
    lab.expect_checks();
    lab.say(&lab.where_the_time_went());
    lab.expect_workload();
    let written = lab.write_records(5);

    // Power fails for all of them at once.
    lab.down(&["--grace", "0"]);
    let took = lab.up(&[]);
    lab.say(&format!("Ready again after all machines lost their power: {took}"));
    lab.expect_records(&written);
    lab.expect_pods_talk();

    // One worker's disk is gone: a fresh machine takes its place.
    lab.down(&["--node", "node-1", "--grace", "0", "--delete"]);
    let took = lab.up(&["--node", "node-1"]);
    lab.say(&format!("a fresh node-1 Ready after power-on: {took}"));
    lab.expect_pods_talk();
    lab.expect_checks();
    lab.down(&["--grace", "0", "--delete"]);
}

#[test]
fn workers_wait_for_a_control_plane_that_comes_late() {
    let lab = Lab::build("late");
    lab.run(&["up"], &["--node", "node-0", "--wait", "firstboot"]);
    lab.run(&["up"], &["--node", "node-1", "--wait", "firstboot"]);
    std::thread::sleep(Duration::from_secs(300));
    let took = lab.up(&[]);
    lab.say(&format!("Ready after a control plane that came five minutes late: {took}"));
    lab.down(&["--grace", "0", "--delete"]);
}

#[expect(clippy::disallowed_methods, reason = "how long machines take is what these tests tell")]
fn now() -> Instant {
    Instant::now()
}

/// What an attempt brings once it succeeds: an emulated cluster may take its time.
fn eventually<T>(attempt: impl Fn() -> Result<T, String>) -> T {
    let since = now();
    loop {
        match attempt() {
            Ok(result) => return result,
            Err(error) => assert!(since.elapsed() < Duration::from_secs(300), "{error}"),
        }
        std::thread::sleep(Duration::from_secs(3));
    }
}

/// A built profile and the way into its cluster.
struct Lab {
    out: PathBuf,
    kubectl: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let mut down = assert_cmd::Command::new(support::BUILDER);
        down.current_dir(support::project());
        let _ = down.args(["down", "--profile", PROFILE, "--grace", "0", "--out", text(&self.out)]).output();
    }
}

impl Lab {
    /// A figure for people; `./test` shows the file.
    fn say(&self, text: &str) {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(self.out.join("figures")).unwrap();
        std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes()).unwrap();
    }

    /// Builds the images, and takes kubectl out of one.
    fn build(name: &str) -> Self {
        let out = fresh(name);
        build(&out);
        let tools = tools();
        let raw = out.join("control-plane.raw");
        disk::to_raw(&tools, &out.join(PROFILE).join("control-plane.qcow2"), &raw).unwrap();
        let program = debugfs(&tools, &raw, "cat /usr/local/bin/kubectl");
        fs::remove_file(raw).unwrap();
        let kubectl = out.join("kubectl");
        let mut file = fs::OpenOptions::new();
        let mut file = file.write(true).create(true).truncate(true).mode(0o755).open(&kubectl).unwrap();
        std::io::Write::write_all(&mut file, &program).unwrap();
        Self { out, kubectl }
    }

    fn run(&self, command: &[&str], arguments: &[&str]) -> String {
        builder(&[command, &["--profile", PROFILE, "--out", text(&self.out)], arguments].concat())
    }

    /// Starts machines and waits until they are Ready and take pods; how long each took, as text.
    fn up(&self, arguments: &[&str]) -> String {
        let since = now();
        let up = ["up", "--timeout", "1500", "--profile", PROFILE, "--out", text(&self.out)];
        let said = say(&[&up, arguments].concat()).stderr;
        let all = since.elapsed().as_secs();
        let ready = said.lines().filter_map(|line| line.split_once(": Ready at ")?.1.strip_suffix(" s"));
        let ready = ready.map(|seconds| seconds.parse::<u64>().unwrap()).max();
        self.run(&["kubeconfig", "--output", text(&self.out.join("kubeconfig"))], &[]);
        format!("{} s, pods after {all} s", ready.expect("a node says when it is Ready"))
    }

    fn down(&self, arguments: &[&str]) {
        self.run(&["down"], arguments);
    }

    fn ssh(&self, node: &str, command: &str) -> String {
        self.run(&["ssh"], &[node, "--", command])
    }

    /// Each node's own account of its boot.
    fn where_the_time_went(&self) -> String {
        let nodes = ["server", "node-0", "node-1"];
        nodes
            .map(|node| {
                format!(
                    "{node}: {}",
                    self.ssh(node, "systemd-analyze time; systemd-analyze blame --no-pager | head -8")
                )
            })
            .concat()
    }

    fn kubectl(&self, arguments: &[&str]) -> assert_cmd::Command {
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
    fn try_once(&self, arguments: &[&str], is_right: impl Fn(&str) -> bool) -> Result<String, String> {
        let output = self.kubectl(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && is_right(&said) {
            return Ok(said);
        }
        Err(format!("kubectl {arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The same, asked until it does.
    fn ask(&self, arguments: &[&str], is_right: impl Fn(&str) -> bool) -> String {
        eventually(|| self.try_once(arguments, &is_right))
    }

    /// From power-on to Ready nothing left the nodes' network; and the counter counts, when something does.
    fn expect_no_egress(&self) {
        let capture = self.out.join(PROFILE).join("run/_gateway/gateway.pcap");
        let left = pcap::egress(&fs::read(&capture).unwrap(), [192, 168, 122], &[22, 6443]);
        assert!(left.is_empty(), "{} packets left the network: {left:?}", left.len());
        self.ssh("node-0", "ping -c 1 -W 1 203.0.113.7 || true");
        let left = pcap::egress(&fs::read(&capture).unwrap(), [192, 168, 122], &[22, 6443]);
        assert_eq!(left, ["192.168.122.11 to 203.0.113.7, protocol 1"]);
    }

    /// The cluster's own view: services, certificates, keys, ports, etcd, encryption, strangers, pods and Services.
    fn expect_checks(&self) {
        let status = self.run(&["status", "--checks", "--json"], &[]);
        let status: Value = serde_json::from_str(&status).unwrap();
        let checks = status["checks"].as_array().unwrap();
        let mut names: Vec<&str> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        let expected = [
            "anonymous",
            "certificates",
            "encryption",
            "etcd",
            "keys",
            "node-to-node",
            "nodes",
            "pod-to-Service",
            "pod-to-pod",
            "ports",
            "services",
        ];
        assert_eq!(names, expected);
        assert!(checks.iter().all(|check| check["ok"] == true), "{checks:#?}");
        for node in status["nodes"].as_array().unwrap() {
            assert_eq!(node["kubernetes"]["ready"], true, "{node:#}");
        }
    }

    fn apply(&self, manifest: &str) {
        let path = self.out.join("manifest.yaml");
        fs::write(&path, manifest).unwrap();
        self.ask(&["apply", "--filename", text(&path)], |_| true);
    }

    /// A pod's name and address by the node it runs on, when all are there.
    fn pods(&self) -> Result<Vec<(String, String, String)>, String> {
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

    /// A Secret, a Deployment with a pod on each worker and a Service; then everything a user does with pods.
    fn expect_workload(&self) {
        self.apply(&WORKLOAD.replace("@image@", &self.busybox()));
        self.expect_pods_talk();
        let stored = self.ssh("server", "ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 \
            --cacert=/etc/etcd/ca.crt --cert=/var/lib/kubernetes/apiserver-etcd-client.crt \
            --key=/var/lib/kubernetes/apiserver-etcd-client.key get /registry/secrets/default/who --print-value-only | head -c 40 | tr -cd '[:print:]'");
        assert!(stored.starts_with("k8s:enc:"), "a Secret is stored as {stored}");

        let pods = eventually(|| self.pods());
        self.ask(&["logs", &pods[0].1], |said| said.contains("who is ready"));
        let echoed = self.ask(&["exec", &pods[1].1, "--", "sh", "-c", "echo $((6 * 7))"], |_| true);
        assert_eq!(echoed, "42\n");
        self.expect_port_forward(&pods[0].1);
    }

    fn busybox(&self) -> String {
        let images = self.ssh("node-0", "ctr --namespace k8s.io images list --quiet");
        images.lines().find(|line| line.contains("busybox")).unwrap().to_owned()
    }

    /// Each pod reaches the other by its address and is seen with its own, and each reaches the Service.
    fn expect_pods_talk(&self) {
        // After a restart the API server still shows the pods of before: nothing of an attempt is kept for the next.
        eventually(|| self.try_pods_talk());
    }

    fn try_pods_talk(&self) -> Result<(), String> {
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

    fn expect_port_forward(&self, pod: &str) {
        use std::io::{BufRead, BufReader, Read, Write};
        let log = self.out.join("port-forward.log");
        let forward = duct::cmd!(
            &self.kubectl,
            "--kubeconfig",
            self.out.join("kubeconfig"),
            "port-forward",
            pod,
            ":8080"
        );
        let forward = forward.stderr_path(&log).unchecked().reader().unwrap();
        let mut line = String::new();
        BufReader::new(&forward).read_line(&mut line).unwrap();
        let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
        let port: u16 =
            port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("port-forward said {line}"));
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"GET /cgi-bin/who HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        forward.kill().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("127.0.0.1"), "{answer}");
    }

    /// Writes objects until the last moment; each that the API server acknowledged has to outlive a power cut.
    fn write_records(&self, count: usize) -> Vec<String> {
        let create = |number: usize| {
            let name = format!("record-{number}");
            self.ask(&["create", "configmap", &name, "--from-literal=written=yes"], |_| true);
            name
        };
        (0..count).map(create).collect()
    }

    fn expect_records(&self, names: &[String]) {
        let said = self.ask(&["get", "configmaps", "--output", "name"], |_| true);
        for name in names {
            assert!(said.lines().any(|line| line == format!("configmap/{name}")), "{name} is lost: {said}");
        }
    }
}
