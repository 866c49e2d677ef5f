//! What a control plane is made of on machines of its own: roles are data, and these have no line of Rust.

use crate::lab::{Lab, eventually};
use crate::support::text;

const PROFILE: &str = "tests/shapes.toml";

/// From another machine, by its name and its address.
const ASK: &str = "/usr/lib/kiln/ask-readiness 192.168.122.9 6443 -verify_ip 192.168.122.9 && \
    /usr/lib/kiln/ask-readiness balancer 6443 -verify_hostname balancer.kubernetes.local && echo ready";

#[test]
#[ignore = "the long tier: `./test long`"]
fn etcd_and_a_load_balancer_have_machines_of_their_own() {
    let lab = Lab::build("shapes", PROFILE);
    let took = lab.up(&[]);
    lab.say(&format!("etcd, load balancer, API server, worker and jumpbox: {took}"));
    let nodes = lab.ask(&["get", "nodes", "--output", "name"], |_| true);
    assert_eq!(nodes, "node/node-0\nnode/server\n", "who runs pods has a Node object, and nobody else");

    // The worker goes to the API server by the load balancer, and the virtual address is there.
    let hosts = lab.ssh("node-0", "grep api-server /etc/hosts");
    assert_eq!(hosts, "192.168.122.5 api-server.kubernetes.local\n");
    eventually(|| match lab.ssh("node-0", &format!("{ASK} || true")).as_str() {
        "ready\n" => Ok(()),
        said => Err(format!("the load balancer does not lead to the API server: {said}")),
    });

    // The jumpbox is the administrator's.
    let seen = lab.ssh("jumpbox", "kubectl get nodes --output name");
    assert_eq!(seen, nodes);
    let hop = "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes etcd-0 hostname";
    assert_eq!(lab.ssh("jumpbox", hop), "etcd-0\n");

    // What one machine has, the others have not.
    for (node, program) in
        [("etcd-0", "kubectl"), ("server", "haproxy"), ("balancer", "etcd"), ("jumpbox", "kubelet")]
    {
        let found = lab.ssh(node, &format!("command -v {program} || true"));
        assert_eq!(found, "", "{node} has {program}");
    }
    lab.expect_checks();

    // etcd's data is copied and comes back though no API server is beside it.
    let written = lab.write_records(2);
    let snapshot = lab.out.join("etcd.db");
    lab.run(&["etcd", "snapshot"], &["--output", text(&snapshot)]);
    lab.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: later }\n");
    lab.run(&["etcd", "restore"], &[text(&snapshot)]);
    lab.expect_records(&written);
    let names = lab.ask(&["get", "configmaps", "--output", "name"], |_| true);
    assert!(!names.contains("configmap/later"), "{names}");
    lab.down(&["--grace", "0", "--delete"]);
}
