//! A node with as many pods as it takes: 110 run, and one more waits.

use crate::lab::{Lab, eventually, now};
use crate::support::project;
use builder::lockfile::Lock;

const MANY: &str = include_str!("pods/many.yaml");

#[test]
#[ignore = "the long tier: `./test long`"]
fn a_node_runs_110_pods_and_the_next_one_waits() {
    let lab = Lab::build("pods", "tests/pods/full.toml");
    lab.up(&[]);
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    let release = &lock.release[&lock.default_release];
    let since = now();
    lab.apply(&MANY.replace("@image@", &release.image["pause"].reference));
    let ready = ["get", "deployment", "many", "--output", "jsonpath={.status.readyReplicas}"];
    // Emulated, each takes seconds.
    for wanted in [30, 60, 90, 110] {
        eventually(|| lab.try_once(&ready, |said| said.parse::<u32>().is_ok_and(|count| count >= wanted)));
    }
    lab.say(&format!("110 pods Ready on one node: {} s", since.elapsed().as_secs()));
    let pending = ["get", "pods", "--field-selector", "status.phase=Pending", "--output"];
    let pending = [&pending[..], &["jsonpath={.items[*].status.conditions[0].message}"]].concat();
    let said = lab.ask(&pending, |said| said.contains("Too many pods"));
    assert_eq!(said.matches("Too many pods").count(), 1, "{said}");
    lab.down(&["--grace", "0", "--delete"]);
}
