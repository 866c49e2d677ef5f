//! A real cluster: the machines of the profile from power-on to Ready in QEMU, and what must hold from then on, with a
//! machine replaced, through a power cut and in every order of starting them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::lab::{Lab, WORKLOAD, eventually};
use crate::pcap;
use crate::support::{PROFILE, long, release};
use fs_err as fs;

/// A policy against the workload.
const POLICY: &str = include_str!("cluster/policy.yaml");

/// The checks of the CIS benchmark, and what of them fails by design.
const CIS: &str = include_str!("cis/check");
const SECURITY: &str = include_str!("../docs/security.md");

/// Finds open ports from another machine.
const SCAN: &str = include_str!("cluster/scan.sh");

/// What a server offers, asked from another machine.
const TLS: &str = include_str!("cluster/tls.sh");

/// What etcd holds of the workload's Secret. etcdctl gives up after five seconds by itself, less than an emulated machine takes.
const STORED: &str = "etcdctl --dial-timeout=60s --command-timeout=60s --endpoints=https://127.0.0.1:2379 \
    --cacert=/etc/etcd/ca.crt --cert=/var/lib/kubernetes/apiserver-etcd-client.crt \
    --key=/var/lib/kubernetes/apiserver-etcd-client.key get /registry/secrets/default/who --print-value-only | \
    head -c 40 | tr -cd '[:print:]'";

#[test]
fn three_machines_become_a_cluster_and_stay_one() {
    let lab = Lab::build("cluster", PROFILE);

    let took = lab.up(&["--capture"]);
    lab.say(&format!("three nodes Ready after power-on: {took}"));
    expect_no_egress(&lab);
    expect_workload(&lab);
    expect_addons(&lab);
    if release() != "debian" {
        lab.expect_configurations_are_current(&["server", "node-0", "node-1"]);
        expect_hardened(&lab);
    }
    expect_tls(&lab);
    for node in ["server", "node-0", "node-1"] {
        let said = lab.ssh(node, "/usr/lib/kiln/check-node");
        assert!(said.lines().count() > 3 && said.lines().all(|line| line.starts_with("ok\t")), "{said}");
    }
    if long() {
        expect_ports(&lab);
        lose_power(&lab);
        lose_worker(&lab);
        lab.expect_checks();
    }
    lab.down(&["--grace", "0", "--delete"]);
}

/// What fails of the CIS benchmark is what docs/security.md lists, no more and no less; and services have no more of the machine than
/// their drop-in says. `systemd-analyze` calls 2.5 and less "OK".
fn expect_hardened(lab: &Lab) {
    let said = ["server", "node-0"].map(|node| lab.ssh(node, CIS));
    let lines = said.iter().flat_map(|said| said.lines().filter_map(|line| line.split_once(' ')));
    let failed: BTreeSet<&str> =
        lines.clone().filter(|(_, outcome)| *outcome == "fail").map(|(check, _)| check).collect();
    assert!(lines.filter(|(_, outcome)| *outcome == "pass").count() > 80, "{said:?}");
    let rows = SECURITY.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let is_number = |text: &&str| text.split('.').all(|part| part.parse::<u8>().is_ok());
    let listed: BTreeSet<&str> = rows.flat_map(|(checks, _)| checks.split(", ")).filter(is_number).collect();
    assert_eq!(failed, listed);
    let services = "etcd kube-apiserver kube-controller-manager kube-scheduler";
    lab.ssh("server", &format!("systemd-analyze --no-pager --threshold=25 security {services}"));
}

/// From another machine no port is open but these.
fn expect_ports(lab: &Lab) {
    for (from, to, ports) in
        [("node-0", "192.168.122.10", "22 2379 2380 6443 10250"), ("server", "192.168.122.11", "22 10250")]
    {
        let open = lab.ssh(from, &SCAN.replace("ADDRESS", to));
        assert_eq!(open.split_whitespace().collect::<Vec<_>>().join(" "), ports, "{to}");
    }
}

/// What OpenSSL on another machine finds at each port that speaks TLS: a certificate of the right authority for that address and no
/// other, and nothing old or weak.
fn expect_tls(lab: &Lab) {
    let read = |path: &str| lab.ssh("server", &format!("cat {path}"));
    let (kubernetes, etcd) = (read("/var/lib/kubernetes/ca.crt"), read("/etc/etcd/ca.crt"));
    for (from, to, ports, ca) in [
        ("node-0", "192.168.122.10", ["2379", "2380"].as_slice(), &etcd),
        ("node-0", "192.168.122.10", &["6443", "10250"], &kubernetes),
        ("server", "192.168.122.11", &["10250"], &kubernetes),
    ] {
        for port in ports {
            let script =
                TLS.replace("ADDRESS", to).replace("PORT", port).replace("\nCA\n", &format!("\n{ca}"));
            assert_eq!(lab.ssh(from, &script), "trusted own-address-only tls1.3 tls1.2 ", "{to}:{port}");
        }
    }
}

/// One worker's disk is gone: a fresh machine takes its place.
fn lose_worker(lab: &Lab) {
    lab.down(&["--node", "node-1", "--grace", "0", "--delete"]);
    let took = lab.up(&["--node", "node-1"]);
    lab.say(&format!("a fresh node-1 Ready after power-on: {took}"));
    lab.expect_pods_talk();
}

/// Power fails for all of them at once; what ran runs again.
fn lose_power(lab: &Lab) {
    let written = lab.write_records(5);
    // What a CNI plugin writes is empty when the power fails soon after it.
    let tear = "find /var/lib/cni/results -type f -exec truncate --size=0 {} +; sync";
    lab.run(&["ssh"], &["node-0", "--", tear]);
    lab.down(&["--grace", "0"]);
    let took = lab.up(&[]);
    lab.say(&format!("Ready again after all machines lost their power: {took}"));
    lab.expect_records(&written);
    lab.expect_pods_talk();
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn machines_become_a_cluster_in_every_order() {
    let lab = Lab::build("orders", PROFILE);
    let [server, node_0, node_1] = ["server", "node-0", "node-1"];
    // The workers are equals: the control plane's place makes the order.
    for order in [[server, node_0, node_1], [node_0, server, node_1], [node_1, node_0, server]] {
        for node in order {
            lab.run(&["up"], &["--node", node, "--wait", "none"]);
            std::thread::sleep(Duration::from_secs(20));
        }
        let took = lab.up(&[]);
        lab.say(&format!("{} Ready: {took}", order.join(", ")));
        lab.down(&["--grace", "0", "--delete"]);
    }
}

/// From power-on to Ready nothing left the nodes' network; and the counter counts, when something does.
fn expect_no_egress(lab: &Lab) {
    let capture = lab.results.join("run/_gateway/gateway.pcap");
    let left = pcap::egress(&fs::read(&capture).unwrap(), [192, 168, 122], &[22, 6443]);
    assert!(left.is_empty(), "{} packets left the network: {left:?}", left.len());
    lab.ssh("node-0", "ping -c 1 -W 1 203.0.113.7 || true");
    let left = pcap::egress(&fs::read(&capture).unwrap(), [192, 168, 122], &[22, 6443]);
    assert_eq!(left, ["192.168.122.11 to 203.0.113.7, protocol 1"]);
}

/// A Secret, a Deployment with a pod on each worker and a Service; then everything a user does with pods.
fn expect_workload(lab: &Lab) {
    lab.apply(&WORKLOAD.replace("@image@", &lab.busybox()));
    lab.expect_pods_talk();
    let stored = lab.ssh("server", STORED);
    assert!(stored.starts_with("k8s:enc:"), "a Secret is stored as {stored}");

    let pods = eventually(|| lab.pods());
    lab.ask(&["logs", &pods[0].1], |said| said.contains("who is ready"));
    let echoed = lab.ask(&["exec", &pods[1].1, "--", "sh", "-c", "echo $((6 * 7))"], |_| true);
    assert_eq!(echoed, "42\n");
    expect_port_forward(lab, &pods[0].1);
    expect_host_port(lab);
}

/// A pod's port on its node: from another machine, and on the node itself.
fn expect_host_port(lab: &Lab) {
    for (from, to) in [("server", "192.168.122.11"), ("node-0", "192.168.122.12"), ("node-0", "127.0.0.1")] {
        let ask =
            "exec 3<>/dev/tcp/ADDRESS/8088; printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
        let said = lab.ssh(from, &ask.replace("ADDRESS", to));
        assert!(
            said.starts_with("HTTP/1.1 200") || said.starts_with("HTTP/1.0 200"),
            "{from} to {to}: {said}"
        );
    }
}

/// What each addon of this build is for, as somebody at the cluster's kubectl finds it.
fn expect_addons(lab: &Lab) {
    let addons = lab.addons();
    let pods = eventually(|| lab.pods());
    if addons.contains("coredns") {
        // A Service, a node, and short names as programs ask for them: with the search list, then as they are.
        let script = "for name in kubernetes.default.svc.cluster.local server.kubernetes.local; do \
            nslookup $name | tail -n +3; done; ping -c 1 -W 1 node-1; wget -q -O - http://who:8080/cgi-bin/who";
        for (_, pod, _) in &pods {
            lab.ask(&["exec", pod, "--", "sh", "-c", script], |said| {
                ["Address: 10.32.0.1\n", "Address: 192.168.122.10\n", "PING node-1 (192.168.122.12)"]
                    .iter()
                    .all(|part| said.contains(part))
            });
        }
    }
    if addons.contains("metrics-server") {
        let known = |said: &str| ["server", "node-0", "node-1"].iter().all(|node| said.contains(node));
        lab.ask(&["top", "nodes"], |said| known(said) && !said.contains("<unknown>"));
        lab.ask(&["top", "pods"], |said| said.contains(&pods[0].1));
    }
    if addons.contains("local-path") {
        lab.with_volume("writer", "echo it >/data/it");
        assert_eq!(lab.with_volume("reader", "cat /data/it"), "it\n");
        lab.ask(&["delete", "pvc", "kept"], |_| true);
    }
    if addons.contains("kube-network-policies") {
        // They talk before the policy is there and after it.
        lab.apply(POLICY);
        eventually(|| match lab.try_pods_talk() {
            Ok(()) => Err("the policy keeps nobody out".to_owned()),
            Err(_) => Ok(()),
        });
        lab.ask(&["delete", "networkpolicy", "nobody"], |_| true);
        lab.expect_pods_talk();
    }
}

fn expect_port_forward(lab: &Lab, pod: &str) {
    use std::io::{BufRead, BufReader, Read, Write};
    let log = lab.out.join("port-forward.log");
    let forward =
        duct::cmd!(&lab.kubectl, "--kubeconfig", lab.out.join("kubeconfig"), "port-forward", pod, ":8080");
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
