//! `builder status` and `builder logs`: what runs, where it is reached, how far its boot is. They change nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use firstboot::schema::Duty;
use serde::Serialize;

use crate::driver::access::ssh;
use crate::driver::api::Api;
use crate::driver::boot::{Seen, Stage};
use crate::driver::checks::Checks;
use crate::driver::error::DriverError;
use crate::driver::folders::{Folders, select};
use crate::driver::hardware::{Accelerator, Firmware};
use crate::driver::machines::{Machines, look};
use crate::driver::ready::Ready;
use crate::driver::registry;
use crate::driver::serial::{self, Console};
use crate::driver::state::State;
use crate::results::cluster::{ClusterJson, NodeJson};

/// A cluster's machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusReport {
    /// Cluster name.
    pub name: String,
    /// What runs its machines.
    pub driver: String,
    /// Whether their ports are reached at ports of 127.0.0.1.
    #[serde(skip)]
    pub forwards: bool,
    /// Whether the machines' network is up.
    pub network: Running,
    /// The day on which the first of its certificates ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates_end: Option<String>,
    /// The nodes, in the order of the profile.
    pub nodes: Vec<NodeStatus>,
    /// What they found, when they were asked to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Running {
    /// It does.
    Running,
    /// It does not, whoever ended it.
    Stopped,
}

/// A node's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Host name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Address in the machines' network.
    pub ip: Option<Ipv4Addr>,
    /// Whether it runs.
    pub state: Running,
    /// Process id of its sandbox while it runs.
    pub pid: Option<u32>,
    /// Where this machine reaches its ports; none while nothing leads there.
    pub reached_at: Option<Ipv4Addr>,
    /// The ports of that address by the node's own: 22 is SSH.
    pub ports: BTreeMap<u16, u16>,
    /// Whether its disk is of an older image than the last build's.
    pub older: bool,
    /// How its processors run, once it was started.
    pub accelerator: Option<Accelerator>,
    /// What it boots with, once it was started.
    pub firmware: Option<Firmware>,
    /// What its console shows of this boot, or of the last.
    #[serde(flatten)]
    pub boot: Seen,
    /// What the API server says of it; none while that does not answer.
    pub kubernetes: Option<Ready>,
    /// Its console's log.
    pub serial_log: PathBuf,
}

/// Looks at every node of a built cluster.
///
/// # Errors
/// [`DriverError`] when the folder cannot be read.
pub fn status(results: &Path) -> Result<StatusReport, DriverError> {
    report(&ClusterJson::load(results)?, &Folders::of(results)?)
}

/// Writes the console of a node, without the terminal's control sequences; with `follow`, until it stops. A node without
/// a console, with multipass, tells its journal.
///
/// # Errors
/// [`DriverError::NeverStarted`] when there is none.
pub fn logs(results: &Path, node: &str, follow: bool, out: &mut dyn Write) -> Result<(), DriverError> {
    let cluster = ClusterJson::load(results)?;
    select(&cluster, Some(node))?;
    let folders = Folders::of(results)?;
    let state = State::load(&folders.run)?;
    let machines = registry::machines(&folders, &state)?;
    if state.nodes.contains_key(node) && !machines.has_console() {
        let mut journal = vec!["journalctl", "--boot", "--no-pager"];
        journal.extend(follow.then_some("--follow"));
        let journal: Vec<String> = journal.into_iter().map(str::to_owned).collect();
        return ssh(results, node, &journal).map(drop);
    }
    let is_running = || machines.running().map(|running| running.contains(node));
    match serial::copy(&folders.node(node), follow, is_running, out)? {
        true => Ok(()),
        false => Err(DriverError::NeverStarted { results: folders.arguments(), node: node.to_owned() }),
    }
}

pub(super) fn report(cluster: &ClusterJson, folders: &Folders) -> Result<StatusReport, DriverError> {
    let state = State::load(&folders.run)?;
    let machines = registry::machines(folders, &state)?;
    let running = machines.running()?;
    let nodes = ready(cluster, folders, &*machines, &running)?;
    let node = |node: &NodeJson| {
        let known = state.nodes.get(&node.name);
        let runs = running.contains(&node.name);
        let mut ports = BTreeMap::new();
        let mut reached_at = None;
        for port in &node.ports {
            if let Some(address) = machines.address(node, *port)? {
                ports.insert(*port, address.port());
                reached_at = Some(*address.ip());
            }
        }
        let mut boot = look(&*machines, &mut Console::of(&folders.node(&node.name)), runs)?;
        if let Some(trouble) = machines.trouble(&node.name)? {
            boot.trouble = Some(trouble);
        }
        Ok(NodeStatus {
            name: node.name.clone(),
            role: node.role.clone(),
            ip: match node.ip {
                None if runs => serial::own_address(&folders.node(&node.name))?,
                planned => planned,
            },
            state: Running::of(runs),
            pid: known.and_then(|known| known.pid).filter(|_| runs),
            reached_at,
            ports,
            older: known.is_some_and(|known| {
                cluster.image_of(node).is_some_and(|image| image.sha256 != known.image_sha256)
            }),
            accelerator: known.and_then(|known| known.accelerator),
            firmware: known.and_then(|known| known.firmware),
            boot,
            kubernetes: nodes.get(&node.name).cloned(),
            serial_log: folders.node(&node.name).join(serial::LOG),
        })
    };
    Ok(StatusReport {
        name: cluster.name.clone(),
        driver: state.driver.clone(),
        forwards: machines.forwards(),
        network: Running::of(machines.network_is_up()?),
        certificates_end: cluster.certificates_end.clone(),
        nodes: cluster.nodes.iter().map(node).collect::<Result<_, DriverError>>()?,
        checks: None,
    })
}

/// What the API server says of the nodes; nothing when its machine does not run or has not booted.
fn ready(
    cluster: &ClusterJson,
    folders: &Folders,
    machines: &dyn Machines,
    running: &BTreeSet<String>,
) -> Result<BTreeMap<String, Ready>, DriverError> {
    for plane in cluster.with(Duty::ApiServer) {
        let runs = running.contains(&plane.name);
        let mut console = Console::of(&folders.node(&plane.name));
        if runs && look(machines, &mut console, runs)?.stage >= Stage::Login {
            // Whichever answers. Without a kubeconfig that works, the machines still have a status.
            let api = Api::of(&folders.results, cluster, machines).ok().flatten();
            return Ok(api.and_then(|api| api.nodes()).map(|nodes| nodes.known).unwrap_or_default());
        }
    }
    Ok(BTreeMap::new())
}

impl Running {
    fn of(running: bool) -> Self {
        if running { Self::Running } else { Self::Stopped }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        })
    }
}

impl fmt::Display for StatusReport {
    /// A table, a line for each node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.nodes.iter().map(|node| node.name.len()).max().unwrap_or(0).max(4);
        let reached = if self.forwards { "PORTS ON 127.0.0.1" } else { "REACHED AT" };
        writeln!(f, "{:width$}  {:15}  {:7}  {:18}  {reached}", "NODE", "ADDRESS", "STATE", "BOOT")?;
        for node in &self.nodes {
            let boot = match (node.state, &node.boot.trouble, &node.kubernetes) {
                (Running::Stopped, ..) => "-",
                (_, Some(trouble), _) => trouble,
                (_, _, Some(Ready { ready: true, .. })) => "Ready",
                (_, _, Some(_)) => "not Ready",
                _ => node.boot.stage.name(),
            };
            let ports = node.ports.iter().map(|(guest, host)| format!("{guest} at {host}"));
            let ports = match node.reached_at {
                Some(address) if !self.forwards => address.to_string(),
                _ => ports.collect::<Vec<_>>().join(", "),
            };
            let ip = node.ip.map_or_else(|| "by DHCP".to_owned(), |ip| ip.to_string());
            let (name, state) = (&node.name, node.state);
            writeln!(f, "{name:width$}  {ip:15}  {state:7}  {boot:18}  {ports}")?;
            let reason = node.kubernetes.as_ref().and_then(|known| known.reason.as_ref());
            if let Some(reason) = reason.filter(|_| node.state == Running::Running) {
                writeln!(f, "{:width$}  {reason}", "")?;
            }
            if node.older {
                writeln!(f, "{:width$}  of an older image than the last build's", "")?;
            }
        }
        if let Some(day) = &self.certificates_end {
            writeln!(f, "\nits first certificate ends on {day}")?;
        }
        match &self.checks {
            Some(checks) => write!(f, "\n{checks}"),
            None => Ok(()),
        }
    }
}
