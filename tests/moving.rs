//! A real cluster under bad conditions: DHCP gives its addresses, others after the next start and while it runs; clocks are
//! wrong; one worker has a bad seed; the workers are there first, and the control plane two minutes later.

use std::time::Duration;

use crate::lab::{Lab, WORKLOAD, eventually, now};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;

/// Shows firstboot's journal on the console when everything else is up.
const TELL: &str = "[Unit]\nAfter=kiln-firstboot.service\n[Service]\nType=oneshot\nStandardOutput=tty\n\
    TTYPath=/dev/ttyS0\nExecStart=/bin/sh -c 'journalctl --unit kiln-firstboot --output cat | sed \"s/^/journal: /\"'\n";

/// What a DHCP server does that gives another address at the next renewal: the card gets one, with the same way out.
const MOVE: &str = "mkdir -p /run/systemd/network && sed 's/^DHCP=.*/Address=10.0.2.40\\/24\\nGateway=10.0.2.2/' \
    /etc/systemd/network/10-kiln.network >/run/systemd/network/00-moved.network && \
    systemd-run --quiet --on-active=1 networkctl reload";

#[test]
#[ignore = "the long tier: `./test long`"]
fn a_cluster_forms_without_addresses_with_wrong_clocks_beside_a_bad_seed() {
    let lab = Lab::build("moving", "tests/moving.toml");

    // The workers come first, one in 1970, the other with a range that is none.
    let since = now();
    lab.run(&["up"], &["--node", "node-0", "--wait", "login", "--", "-rtc", "base=1970-01-01"]);
    let tell = credential("systemd.extra-unit.tell.service", TELL);
    let wants = credential("systemd.unit-dropin.multi-user.target", "[Unit]\nWants=tell.service\n");
    let bad = ["-smbios", "type=11,value=kiln.pod-cidr=10.300.0.0/24", "-smbios", &tell, "-smbios", &wants];
    lab.run(&["up"], &[&["--node", "node-1", "--wait", "none", "--"], &bad[..]].concat());
    let wrong = "firstboot: SMBIOS: `kiln.pod-cidr` is `10.300.0.0/24`";
    eventually(|| {
        let console = lab.console("node-1");
        let in_journal = format!("journal: {wrong}");
        // It says so at once and in the journal, and somebody may log in there.
        let all = [wrong, &in_journal, " login:"].iter().all(|text| console.contains(text));
        all.then_some(()).ok_or(console)
    });

    // The control plane comes two minutes later, in 2099.
    std::thread::sleep(Duration::from_secs(120).saturating_sub(since.elapsed()));
    let late = lab.up(&["--node", "server", "--", "-rtc", "base=2099-01-01"]);
    lab.up(&["--node", "node-0"]);
    lab.say(&format!("Ready after a control plane that came two minutes late: {late}"));
    let addresses = lab.addresses();
    assert_eq!(addresses, [("node-0", "10.0.2.15"), ("server", "10.0.2.16")].map(owned));
    for node in ["server", "node-0"] {
        let year = lab.ssh(node, "date --utc +%Y");
        let built = lab.ssh(node, "date --utc --reference /usr/lib/clock-epoch +%Y");
        assert_eq!(year, built, "the clock of {node} is the image's, which no certificate minds");
    }

    // All lose their power at once, and the addresses come in another order. node-1's seed was corrected.
    let written = lab.write_records(5);
    lab.down(&["--grace", "0"]);
    lab.run(&["up"], &["--node", "server", "--wait", "login"]);
    lab.run(&["up"], &["--node", "node-1", "--wait", "login"]);
    let moved = lab.up(&[]);
    lab.say(&format!("Ready with other addresses: {moved}"));
    lab.expect_addresses([("node-0", "10.0.2.17"), ("node-1", "10.0.2.16"), ("server", "10.0.2.15")]);
    lab.expect_records(&written);
    lab.expect_checks();
    one_moves_while_all_run(&lab);
    lab.down(&["--grace", "0", "--delete"]);
}

/// Nothing is started anew but what has to know its own address.
fn one_moves_while_all_run(lab: &Lab) {
    lab.apply(&WORKLOAD.replace("@image@", &lab.busybox()));
    lab.expect_pods_talk();
    let pods = eventually(|| lab.pods());

    lab.ssh("node-0", MOVE);
    lab.expect_addresses([("node-0", "10.0.2.40"), ("node-1", "10.0.2.16"), ("server", "10.0.2.15")]);
    lab.expect_pods_talk();
    assert_eq!(eventually(|| lab.pods()), pods, "the pods went on running");
}

fn owned((name, address): (&str, &str)) -> (String, String) {
    (name.to_owned(), address.to_owned())
}

/// What QEMU's `-smbios` gives to systemd.
fn credential(name: &str, text: &str) -> String {
    format!("type=11,value=io.systemd.credential.binary:{name}={}", STANDARD.encode(text))
}

impl Lab {
    fn console(&self, node: &str) -> String {
        fs::read_to_string(self.results.join("run").join(node).join("serial.log")).unwrap_or_default()
    }

    fn expect_addresses(&self, expected: [(&str, &str); 3]) {
        let expected = expected.map(owned);
        eventually(|| {
            let addresses = self.addresses();
            (addresses == expected).then_some(()).ok_or(format!("{addresses:?}"))
        });
    }

    /// The nodes that are Ready, with the addresses that they have told the API server.
    fn addresses(&self) -> Vec<(String, String)> {
        let columns = "custom-columns=NAME:.metadata.name,IP:.status.addresses[?(@.type==\"InternalIP\")].address,\
            READY:.status.conditions[?(@.type==\"Ready\")].status";
        let said = self.ask(&["get", "nodes", "--no-headers", "--output", columns], |_| true);
        let ready = said.lines().filter_map(|line| line.trim_end().strip_suffix(" True"));
        let words = ready.map(|line| line.split_whitespace().map(str::to_owned));
        let mut nodes: Vec<_> =
            words.map(|mut words| (words.next().unwrap(), words.next().unwrap())).collect();
        nodes.sort();
        nodes
    }
}
