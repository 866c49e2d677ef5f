//! A machine of `builder up`, and what systemd knows of the units in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::project::{self, Project};
use crate::support::text;

/// How often a machine is asked whether it has booted, five seconds apart.
const ATTEMPTS: u32 = 180;

/// What a unit cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// From the start of its process to its end: what systemd does in it before the program is counted.
    pub program: Duration,
    /// From the beginning of its start to its end.
    pub unit: Duration,
    /// Processor time of everything that ran in it.
    pub processor: Duration,
}

impl Cost {
    pub fn sum(costs: &[Self]) -> Self {
        costs.iter().fold(Self::default(), |sum, cost| Self {
            program: sum.program + cost.program,
            unit: sum.unit + cost.unit,
            processor: sum.processor + cost.processor,
        })
    }
}

/// One node of a built profile.
pub struct Machine<'a> {
    project: &'a Project,
    profile: String,
    out: PathBuf,
    node: &'a str,
}

/// It ends with the benchmark, also when that fails.
impl Drop for Machine<'_> {
    fn drop(&mut self) {
        let _ = self.project.command(&self.arguments("down", &["--grace", "0"])).output();
    }
}

impl<'a> Machine<'a> {
    pub fn new(project: &'a Project, results: &Path, node: &'a str) -> Self {
        let profile = results.file_name().unwrap().to_string_lossy().into_owned();
        Self { project, profile, out: results.parent().unwrap().to_owned(), node }
    }

    fn arguments<'b>(&'b self, command: &'b str, more: &[&'b str]) -> Vec<&'b str> {
        [&[command, "--profile", &self.profile, "--out", text(&self.out)], more].concat()
    }

    fn run(&self, command: &str, more: &[&str]) -> String {
        self.project.run(&self.arguments(command, more))
    }

    /// Boots it until a unit has started: not everything, which on a worker waits for its control plane.
    pub fn up(&self, options: &[String], unit: &str) {
        let mut more = vec!["--node", self.node, "--wait", "none", "--"];
        more.extend(options.iter().map(String::as_str));
        self.run("up", &more);
        // Its login prompt may never come: on a busy host systemd gives the serial line up before udev has named it.
        for _ in 0..ATTEMPTS {
            let ask = format!("systemctl is-active {unit}");
            let ask = self.arguments("ssh", &[self.node, "--", &ask]);
            if self.project.command(&ask).output().unwrap().stdout == b"active\n" {
                return;
            }
            std::thread::sleep(Duration::from_secs(5));
        }
        panic!("{} did not boot: {}", self.node, self.run("logs", &[self.node]));
    }

    /// Boots it again.
    pub fn again(&self, options: &[String], unit: &str) {
        self.run("down", &["--node", self.node]);
        self.up(options, unit);
    }

    pub fn delete(&self) {
        self.run("down", &["--grace", "0", "--delete"]);
    }

    pub fn ssh(&self, command: &str) -> String {
        self.run("ssh", &[self.node, "--", command])
    }

    /// How long firstboot says that it took, in milliseconds.
    pub fn said(&self) -> Option<u64> {
        let console = self.run("logs", &[self.node]);
        let line = console.lines().find(|line| line.contains(": applied "))?;
        line.split(" in ").nth(1)?.split(" ms").next()?.parse().ok()
    }

    /// What a unit cost at this boot.
    pub fn cost(&self, unit: &str) -> Cost {
        let properties = "CPUUsageNSec,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic,\
            InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic";
        let said = self.ssh(&format!("systemctl show {unit} --property {properties}"));
        let known: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_once('=')).collect();
        let number = |key: &str| {
            let value = known.get(key).and_then(|value| value.parse::<u64>().ok());
            value.unwrap_or_else(|| panic!("{unit} has no {key}: {said}"))
        };
        let between = |from: &str, to: &str| {
            let [from, to] = [from, to].map(|key| number(&format!("{key}TimestampMonotonic")));
            Duration::from_micros(to.saturating_sub(from))
        };
        Cost {
            program: between("ExecMainStart", "ExecMainExit"),
            unit: between("InactiveExit", "ActiveEnter"),
            processor: Duration::from_nanos(number("CPUUsageNSec")),
        }
    }

    pub fn costs(&self, units: &[&str]) -> Vec<Cost> {
        units.iter().map(|unit| self.cost(unit)).collect()
    }

    /// What a unit costs whose program does nothing.
    pub fn floor(&self) -> Cost {
        let options = "--quiet --unit floor --property Type=oneshot --property RemainAfterExit=yes";
        self.ssh(&format!("systemd-run {options} /bin/true"));
        self.cost("floor")
    }

    /// cloud-init's generator runs before there is anything to measure it with: once more, by hand.
    pub fn generator(&self) -> Duration {
        let run = "mkdir /tmp/g && cd /tmp/g && date +%s%N && \
            /usr/lib/systemd/system-generators/cloud-init-generator . . . >/dev/null 2>&1; date +%s%N";
        let said = self.ssh(run);
        let times: Vec<u64> = said.lines().map(|line| line.trim().parse().unwrap()).collect();
        Duration::from_nanos(times[1] - times[0])
    }

    /// KiB that dpkg counts for packages.
    pub fn installed(&self, packages: &[String]) -> u64 {
        let query = format!("dpkg-query --show --showformat '${{Installed-Size}}\\n' {}", packages.join(" "));
        self.ssh(&query).lines().map(|line| line.trim().parse::<u64>().unwrap()).sum()
    }

    /// Both programs have applied the seed.
    pub fn expect_applied(&self) {
        let (user, key) = (project::USER, project::KEY);
        let look = format!(
            "hostname; cloud-init query local_hostname; \
             ls /etc/systemd/network /etc/netplan /etc/network/interfaces.d 2>/dev/null; \
             grep --no-filename --only-matching '{key}' /etc/ssh/authorized_keys.seed/{user} \
             /home/{user}/.ssh/authorized_keys"
        );
        let said = self.ssh(&look);
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        let count = |line: &str| lines.iter().filter(|said| **said == line).count();
        assert_eq!((count(project::HOSTNAME), count(key)), (2, 2), "the seed is not applied: {said}");
        assert_eq!(count("10-kiln.network"), 1, "{said}");
        assert!(lines.iter().any(|line| line.contains("cloud-init")), "cloud-init set up no network: {said}");
    }
}
