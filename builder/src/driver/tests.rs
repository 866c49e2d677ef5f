//! The cluster that the drivers' tests use, and what needs no machine.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;

use crate::driver::request::{Delete, DownRequest};
use crate::driver::{Running, down, logs, status};
use crate::ground::progress::Progress;
use crate::results::cluster::ClusterJson;

/// A control plane and two workers, as profile `1cp-2workers` has them.
pub(super) fn cluster() -> ClusterJson {
    let node = |name: &str, role: &str, host: u8, ports: &str| {
        format!(
            r#"{{"name":"{name}","role":"{role}","image":"{role}.qcow2","mac":"52:54:00:00:00:{host}",
            "ip":"192.168.122.{host}","pod_cidr":"10.200.{host}.0/24","cpus":2,"memory_mib":2048,
            "disk_mib":8192,"ports":[{ports}],"seed":null}}"#
        )
    };
    let image = |role: &str| {
        let sha256 = "a".repeat(64);
        format!(
            r#"{{"role":"{role}","path":"{role}.qcow2","format":"qcow2","size":1,"sha256":"{sha256}",
            "content_sha256":"{sha256}"}}"#
        )
    };
    let text = format!(
        r#"{{"version":1,"name":"kiln","release":"debian","arch":"amd64",
        "network":{{"cidr":"192.168.122.0/24","gateway":"192.168.122.1"}},
        "images":[{},{}],"nodes":[{},{},{}]}}"#,
        image("control-plane"),
        image("worker"),
        node("server", "control-plane", 10, "22,6443"),
        node("node-0", "worker", 11, "22"),
        node("node-1", "worker", 12, "22"),
    );
    ClusterJson::parse(Path::new("cluster.json"), &text).unwrap()
}

fn built() -> tempfile::TempDir {
    let results = tempfile::tempdir().unwrap();
    fs::write(results.path().join("cluster.json"), cluster().to_text().unwrap()).unwrap();
    results
}

fn go_down(results: &Path, node: Option<&str>) -> Result<(), super::DriverError> {
    let request = DownRequest { results, node, grace: Duration::ZERO, delete: Delete::Nothing };
    down(&request, &Progress::new())
}

#[test]
fn before_the_first_start_all_is_stopped_and_down_does_nothing() {
    let results = built();
    go_down(results.path(), None).unwrap();
    go_down(results.path(), Some("node-0")).unwrap();
    let report = status(results.path()).unwrap();
    assert!(report.nodes.iter().all(|node| node.state == Running::Stopped));
    insta::assert_snapshot!(report, @r"
    NODE    ADDRESS          STATE    BOOT                PORTS ON 127.0.0.1
    server  192.168.122.10   stopped  -                   
    node-0  192.168.122.11   stopped  -                   
    node-1  192.168.122.12   stopped  -                   
    ");
    assert!(!results.path().join("run").exists());
}

#[test]
fn a_stranger_is_named_with_the_nodes_that_there_are() {
    use crate::ground::error::Explain;
    let results = built();
    for error in [
        go_down(results.path(), Some("node-7")).unwrap_err(),
        logs(results.path(), "node-7", false, &mut Vec::new()).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "the cluster `kiln` has no node `node-7`");
        assert_eq!(error.hint().unwrap(), "its nodes are server, node-0, node-1");
    }
}

#[test]
fn logs_of_a_node_that_never_ran_say_how_to_run_it() {
    use crate::ground::error::Explain;
    let folder = built();
    let results = folder.path().join("lab");
    fs::create_dir(&results).unwrap();
    fs::copy(folder.path().join("cluster.json"), results.join("cluster.json")).unwrap();
    let error = logs(&results, "server", false, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "`server` has no console log: it was never started");
    let out = fs::canonicalize(folder.path()).unwrap();
    assert_eq!(error.hint().unwrap(), format!("builder up --profile lab --out {}", out.display()));
}

/// A command line, an option a line.
pub(super) fn lines(argv: &[String]) -> String {
    argv.join(" ").replace(" -", "\n-")
}
