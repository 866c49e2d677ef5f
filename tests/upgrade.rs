//! A cluster goes from one minor version of Kubernetes to the next with all that it has: its nodes get new images, one after
//! the other, and keep their data disks.

use crate::lab::Lab;
use crate::support::{builder, release, secret, text};
use fs_err as fs;

const PROFILE: &str = "tests/upgrade.toml";

/// The release that the cluster begins with.
const BEFORE: &str = "v1.36";

const NODES: [&str; 2] = ["server", "node-0"];

/// A pod that is there all the time.
const WORKLOAD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: steady }
spec:
  selector: { matchLabels: { app: steady } }
  template:
    metadata: { labels: { app: steady } }
    spec:
      containers:
        - { name: steady, image: "@image@", imagePullPolicy: Never, command: ["sleep", "1000000"] }
"#;

#[test]
#[ignore = "the long tier: `./test long`"]
fn a_cluster_is_upgraded_with_its_data() {
    let lab = Lab::build_with("upgrade", PROFILE, &["--release", BEFORE]);
    let took = lab.up(&[]);
    lab.say(&format!("two nodes of {BEFORE} with data disks Ready: {took}"));
    expect_versions(&lab, "v1.36.");
    lab.apply(&WORKLOAD.replace("@image@", &lab.busybox()));
    lab.with_volume("writer", "echo it >/data/it");
    let written = lab.write_records(3);

    lab.expect_configurations_are_current(&NODES);

    // The next build changes nothing that there is.
    lab.down(&[]);
    rebuild(&lab, &release());
    let said = lab.said(&["up"], &["--timeout", "1500"]);
    assert!(said.contains("server: its disk is of an older image; `"), "{said}");
    assert!(!said.contains("--delete"), "{said}");
    expect_versions(&lab, "v1.36.");
    lab.expect_records(&written);
    let said = lab.said(&["up", "--upgrade", "--timeout", "1500"], &[]);
    let order: Vec<usize> =
        ["server: its pods", "node-0: its pods"].map(|it| said.find(it).unwrap()).to_vec();
    assert!(order.is_sorted(), "{said}");
    let snapshot = lab.results.join(format!("run/etcd-before-{}.db", release()));
    assert!(fs::metadata(snapshot).unwrap().len() > 100_000);
    expect_versions(&lab, "v1.37.");

    lab.expect_configurations_are_current(&NODES);
    lab.expect_records(&written);
    assert_eq!(lab.with_volume("reader", "cat /data/it"), "it\n");
    let ready = ["get", "deployment", "steady", "--output", "jsonpath={.status.readyReplicas}"];
    lab.ask(&ready, |said| said == "1");
    lab.expect_checks();
    let said = lab.said(&["up", "--upgrade"], &[]);
    assert!(said.contains("every node has the last build's image"), "{said}");

    // There is no way back, and nothing is touched to find that out.
    rebuild(&lab, BEFORE);
    let said = lab.refused(&["up", "--upgrade"]);
    assert!(said.contains("etcd's data has no way back to 1.36"), "{said}");
    expect_versions(&lab, "v1.37.");
    lab.down(&["--grace", "0", "--delete"]);
}

fn rebuild(lab: &Lab, release: &str) {
    let secret = secret(&lab.out, 7);
    let arguments = ["--release", release, "--out", text(&lab.out), "--secret", text(&secret)];
    builder(&[&["build", "--profile", PROFILE], &arguments[..]].concat());
}

/// The versions that the kubelets tell.
fn expect_versions(lab: &Lab, beginning: &str) {
    let columns = "custom-columns=VERSION:.status.nodeInfo.kubeletVersion";
    let known =
        |said: &str| said.lines().count() == 2 && said.lines().all(|line| line.starts_with(beginning));
    lab.ask(&["get", "nodes", "--no-headers", "--output", columns], known);
}
