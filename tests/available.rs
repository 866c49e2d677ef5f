//! Three control planes: any of them may die, come back, or be lost with its disk. A writer goes on all the time, and nothing that
//! was acknowledged to it is lost; a virtual address leads to one that is ready all the time. And a snapshot brings everything back
//! after all machines were wiped.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lab::{Lab, eventually, now};
use crate::support::{self, text};

const PROFILE: &str = "tests/available.toml";

const CONTROL_PLANES: [&str; 3] = ["server-0", "server-1", "server-2"];

/// What is written before the snapshot.
const BEFORE: [&str; 3] = ["one", "two", "three"];

/// The address that one of them holds.
const VIRTUAL: &str = "192.168.122.9";

/// The longest that the API may be away when a control plane dies: the time that a member of etcd takes to notice, and to elect.
const AWAY: Duration = Duration::from_secs(60);

/// Longer than a Node without a word from its kubelet stays Ready.
const GRACE: Duration = Duration::from_secs(90);

#[test]
#[ignore = "the long tier: `./test long`"]
fn any_control_plane_may_die() {
    let lab = Lab::build("available", PROFILE);
    let took = lab.up(&[]);
    lab.say(&format!("three control planes and a worker Ready: {took}"));
    let writer = Writer::default();
    std::thread::scope(|scope| {
        let _end = End(&writer);
        scope.spawn(|| writer.write(&lab));
        // The one with the virtual address first.
        let holder = holder(&lab, &CONTROL_PLANES);
        lab.ssh("node-0", &format!("systemd-run --unit=client sh -c '{CLIENT}'"));
        for victim in [holder].into_iter().chain(CONTROL_PLANES.into_iter().filter(|it| *it != holder)) {
            writer.expect_more(&lab);
            lab.down(&["--node", victim, "--grace", "0"]);
            let away = writer.expect_more(&lab);
            lab.say(&format!("{victim} killed: the API was away for {} s", away.as_secs()));
            assert!(away < AWAY, "the API was away for {} s", away.as_secs());
            lab.way_in();
            others_stay_ready(&lab, victim);
            let others: Vec<&str> = CONTROL_PLANES.into_iter().filter(|it| *it != victim).collect();
            let other = self::holder(&lab, &others);
            if victim == holder {
                lab.ssh("node-0", "systemctl stop client");
                let longest = lab.ssh("node-0", LONGEST);
                let longest: u64 = longest.trim().parse().unwrap();
                lab.say(&format!(
                    "the virtual address went to {other}, and was away for {longest} s at most"
                ));
                assert!(longest < AWAY.as_secs(), "the virtual address was away for {longest} s");
            }
            let took = lab.up(&["--node", victim]);
            lab.say(&format!("{victim} back: {took}"));
        }

        // Lost for good: by hand, and for a new image.
        lab.down(&["--node", "server-0", "--grace", "0", "--delete"]);
        let took = lab.up(&["--node", "server-0"]);
        lab.say(&format!("server-0 with an empty disk: {took}"));
        expect_members(&lab);
        let took = lab.up(&["--replace", "server-1"]);
        lab.say(&format!("server-1 replaced: {took}"));
        expect_members(&lab);
    });
    let written = writer.records();
    lab.expect_records(&written);
    lab.say(&format!("{} records, none lost", written.len()));
    lab.expect_checks();
    lab.down(&["--grace", "0", "--delete"]);
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn a_snapshot_brings_everything_back() {
    let lab = Lab::build("restored", PROFILE);
    lab.up(&[]);
    for name in BEFORE {
        lab.apply(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\n"));
    }
    let kept = lab.ssh("server-2", "systemctl start kiln-etcd-snapshot && ls /var/lib/etcd-snapshots");
    assert!(kept.lines().count() == 1 && kept.ends_with(".db\n"), "{kept}");

    let snapshot = lab.out.join("etcd.db");
    lab.run(&["etcd", "snapshot"], &["--output", text(&snapshot)]);
    lab.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: later }\n");
    lab.down(&["--grace", "0", "--delete"]);
    lab.up(&[]);
    let since = now();
    lab.run(&["etcd", "restore"], &[text(&snapshot)]);
    lab.say(&format!("restored in {} s", since.elapsed().as_secs()));
    lab.way_in();
    lab.expect_records(&BEFORE.map(String::from));
    let names = lab.ask(&["get", "configmaps", "--output", "name"], |_| true);
    assert!(!names.contains("configmap/later"), "{names}");
    eventually(|| {
        lab.try_once(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=30s"], |_| true)
    });
    expect_members(&lab);
    lab.down(&["--grace", "0", "--delete"]);
}

/// Notes in seconds when the virtual address led to an API server that is ready, and had a certificate for the address.
const CLIENT: &str = "while :; do \
    /usr/lib/kiln/ask-readiness 192.168.122.9 6443 -verify_ip 192.168.122.9 && date +%s >>/run/answers; sleep 1; done";

/// The longest time between two answers.
const LONGEST: &str =
    "awk 'NR > 1 && $1 - last > most { most = $1 - last } { last = $1 } END { print most }' /run/answers";

/// The one that has the virtual address, of control planes that run.
fn holder<'a>(lab: &Lab, running: &[&'a str]) -> &'a str {
    let has = |node: &&str| !lab.ssh(node, &format!("ip -brief address show to {VIRTUAL}")).is_empty();
    eventually(|| match running.iter().copied().filter(has).collect::<Vec<_>>().as_slice() {
        [holder] => Ok(*holder),
        holders => Err(format!("the virtual address is at {holders:?}")),
    })
}

/// Each Node but the victim's is Ready all the time in which a kubelet without an API server would lose that.
fn others_stay_ready(lab: &Lab, victim: &str) {
    let columns = "custom-columns=NAME:.metadata.name,READY:.status.conditions[?(@.type==\"Ready\")].status";
    let since = now();
    while since.elapsed() < GRACE {
        let said = lab.ask(&["get", "nodes", "--no-headers", "--output", columns], |said| !said.is_empty());
        for line in said.lines().filter(|line| !line.starts_with(victim)) {
            assert!(
                line.ends_with("True"),
                "{} s after {victim} was killed: {said}",
                since.elapsed().as_secs()
            );
        }
        std::thread::sleep(Duration::from_secs(5));
    }
}

/// etcd has exactly the three members, and all have started.
fn expect_members(lab: &Lab) {
    let list = "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/peer.crt \
        --key=/etc/etcd/peer.key member list";
    eventually(|| {
        let said = lab.ssh("server-2", list);
        let started = said.lines().filter(|line| line.contains(", started, server-")).count();
        if started == 3 && said.lines().count() == 3 { Ok(()) } else { Err(said) }
    });
}

/// Writes one object after the other, by whatever control plane answers.
#[derive(Default)]
struct Writer {
    acknowledged: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// The writer ends with the test, also when that fails.
struct End<'a>(&'a Writer);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Writer {
    fn write(&self, lab: &Lab) {
        let mut number = 0;
        let file = lab.out.join("writer.kubeconfig");
        while !self.is_over.load(Ordering::Relaxed) {
            number += 1;
            let name = format!("written-{number}");
            // As a person would: where one gives no answer, the next is asked for.
            let mut create = lab.kubectl(&["create", "configmap", &name, "--from-literal=written=yes"]);
            create.args(["--request-timeout", "10s", "--kubeconfig", text(&file)]);
            if file.exists() && create.output().is_ok_and(|output| output.status.success()) {
                self.acknowledged.lock().unwrap().push(name);
            } else {
                let mut kubeconfig = assert_cmd::Command::new(support::BUILDER);
                kubeconfig.current_dir(support::project()).arg("kubeconfig");
                kubeconfig.args(["--profile", PROFILE, "--out", text(&lab.out), "--output", text(&file)]);
                let _ = kubeconfig.output();
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn records(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Waits until more was acknowledged; how long that took.
    fn expect_more(&self, lab: &Lab) -> Duration {
        let (since, before) = (now(), self.records().len());
        while self.records().len() < before + 2 {
            let waited = since.elapsed();
            assert!(
                waited < Duration::from_secs(600),
                "nothing was written for {waited:?}: {}",
                lab.out.display()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
        since.elapsed()
    }
}
