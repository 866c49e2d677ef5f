//! Upstream's own conformance suite against a booted cluster, without a network: thirty of its tests, out of every part of
//! Kubernetes. `docs/reference/conformance.md` has what all of them said.

#![expect(clippy::disallowed_methods, reason = "the script that people run")]

use std::process::{Command, Stdio};

use crate::lab::Lab;
use crate::pcap;
use crate::support::{self, builder, project, text};
use fs_err as fs;

const FOLDER: &str = "tests/conformance";

#[test]
#[ignore = "the long tier: `./test long`"]
fn thirty_tests_of_upstreams_suite_pass() {
    let suite = support::fresh("conformance-suite");
    builder(&["export", "conformance", "--out", text(&suite)]);
    let lab = Lab::build("conformance", &format!("{FOLDER}/conformance.toml"));
    let took = lab.up(&["--capture"]);
    lab.say(&format!("three nodes with the suite's images Ready: {took}"));

    let log = lab.out.join("log");
    let mut run = Command::new(project().join(FOLDER).join("run"));
    run.arg(&suite).arg(lab.out.join("kubeconfig")).arg(project().join(FOLDER).join("chosen"));
    run.arg(lab.out.join("results")).stdout(fs::File::create(&log).unwrap().into_parts().0);
    // Some of them call kubectl.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [lab.out.clone()].into_iter().chain(std::env::split_paths(&path));
    run.env("PATH", std::env::join_paths(folders).unwrap());
    let status = run.stderr(Stdio::inherit()).status().unwrap();
    let told = fs::read_to_string(&log).unwrap();
    let failed: Vec<&str> = told.lines().filter(|line| line.contains("[FAIL")).collect();
    assert!(status.success() && told.contains("30 Passed | 0 Failed"), "{failed:#?}, see {}", log.display());

    // Nothing was pulled.
    let capture = fs::read(lab.results.join("run/_gateway/gateway.pcap")).unwrap();
    let left = pcap::egress(&capture, [192, 168, 122], &[22, 6443]);
    assert!(left.is_empty(), "{} packets left the network: {left:?}", left.len());
    lab.down(&["--grace", "0", "--delete"]);
}
