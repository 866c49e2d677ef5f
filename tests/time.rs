//! Time and power: a machine that stood still for ten minutes, and one whose power was cut while what it had just imported was
//! not on its disk yet.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use crate::lab::{Lab, eventually};
use fs_err as fs;
use serde_json::{Value, json};

const PROFILE: &str = "single";

/// How far the clocks of a node and of this machine may be apart, in seconds: the hardware clock tells whole ones.
const APART: i64 = 5;

/// A pod of an image that every machine brings along.
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: { name: @name@ }\nspec:\n  containers:\n    \
    - { name: it, image: \"@image@\", imagePullPolicy: Never, command: [\"sleep\", \"1000000\"] }\n";

#[test]
#[ignore = "the long tier: `./test long`"]
fn a_machine_that_stood_still_for_ten_minutes_goes_on_with_the_right_time() {
    let lab = Lab::build("pause", PROFILE);
    let took = lab.up(&[]);
    lab.say(&format!("a single machine Ready: {took}"));
    let written = lab.write_records(1);
    let mut machine = Qmp::connect(&lab);
    machine.run(&json!({ "execute": "stop" }));
    std::thread::sleep(Duration::from_secs(600));
    machine.run(&json!({ "execute": "cont" }));
    goes_on(&lab, "after the pause", &written);

    // A snapshot holds the time of when it was taken.
    machine.monitor("savevm before");
    std::thread::sleep(Duration::from_secs(120));
    machine.monitor("loadvm before");
    goes_on(&lab, "after the snapshot", &written);
    lab.down(&["--grace", "0", "--delete"]);
}

/// The clock is right within a minute, and the cluster takes pods and keeps what it had.
fn goes_on(lab: &Lab, when: &str, written: &[String]) {
    let apart = || {
        let here = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let there: i64 = lab.ssh("server", "date +%s").trim().parse().unwrap();
        (i64::try_from(here).unwrap() - there).abs()
    };
    eventually(|| if apart() <= APART { Ok(()) } else { Err(format!("{when}: {} s behind", apart())) });
    let said = lab.ssh("server", "journalctl --boot --unit kiln-clock --output cat --no-pager");
    assert!(said.contains("this machine stood still for "), "{said}");
    lab.expect_records(written);
    start_pod(lab, &when.replace(' ', "-"));
    lab.expect_checks();
}

fn start_pod(lab: &Lab, name: &str) {
    lab.apply(&POD.replace("@name@", name).replace("@image@", &lab.busybox()));
    lab.ask(&["get", "pod", name, "--output", "jsonpath={.status.phase}"], |said| said == "Running");
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn pods_start_after_a_power_cut_at_any_time_after_the_import() {
    let lab = Lab::build("cut", PROFILE);
    for seconds in [0, 5, 10, 15, 20, 30] {
        lab.run(&["up"], &["--wait", "login"]);
        eventually(|| match lab.ssh("server", "systemctl is-active kiln-images || true").trim() {
            "active" => Ok(()),
            other => Err(other.to_owned()),
        });
        std::thread::sleep(Duration::from_secs(seconds));
        lab.down(&["--grace", "0"]);
        let took = lab.up(&[]);
        lab.say(&format!("the power was cut {seconds} s after the import; Ready again: {took}"));
        start_pod(&lab, &format!("after-{seconds}"));
        lab.down(&["--grace", "0", "--delete"]);
    }
    // While it imports.
    lab.run(&["up"], &["--wait", "login"]);
    eventually(|| {
        match lab.ssh("server", "test -e /var/lib/containerd/kiln-importing && echo yes || true").trim() {
            "yes" => Ok(()),
            _ => Err("no import has begun".to_owned()),
        }
    });
    lab.down(&["--grace", "0"]);
    let took = lab.up(&[]);
    lab.say(&format!("the power was cut during the import; Ready again: {took}"));
    start_pod(&lab, "after-half");
    let said = lab.ssh("server", "journalctl --boot --unit containerd --output cat --no-pager");
    assert!(said.contains("was cut short: doing it again"), "{said}");
    lab.expect_checks();
    lab.down(&["--grace", "0", "--delete"]);
}

/// The control socket of the machine.
struct Qmp(BufReader<UnixStream>);

impl Qmp {
    fn connect(lab: &Lab) -> Self {
        // The path of a socket may have 107 bytes.
        let folder = fs::File::open(lab.results.join("run/server")).unwrap();
        let socket = format!("/proc/self/fd/{}/qmp.sock", folder.file().as_raw_fd());
        let mut qmp = Self(BufReader::new(UnixStream::connect(socket).unwrap()));
        qmp.0.read_line(&mut String::new()).unwrap();
        qmp.run(&json!({ "execute": "qmp_capabilities" }));
        qmp
    }

    fn run(&mut self, command: &Value) -> Value {
        self.0.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "QEMU has ended");
            let answer: Value = serde_json::from_str(&line).unwrap();
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            // Anything else is an event.
            if let Some(value) = answer.get("return") {
                return value.clone();
            }
        }
    }

    /// A command of the human monitor; it says nothing when it was carried out.
    fn monitor(&mut self, line: &str) {
        let command = json!({ "execute": "human-monitor-command", "arguments": { "command-line": line } });
        assert_eq!(self.run(&command), json!(""), "{line}");
    }
}
