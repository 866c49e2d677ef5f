//! Machines of this host's multipass, by its program. It makes each machine's seed and address itself: a node gets its
//! name by the user-data that is added to that seed, and is reached at the address that multipass tells.
//!
//! After multipass' source as of August 2026: the options of `launch` (src/client/cli/cmd/launch.cpp), the form of `list`
//! (src/client/cli/formatter/json_formatter.cpp) and its states (format_utils.cpp).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::driver::error::DriverError;
use crate::driver::host;
use crate::driver::host::Program;
use crate::driver::machines::Machines;
use crate::driver::poll::Stopwatch;
use crate::driver::state::{NodeState, State};
use crate::driver::up::{Started, UpRequest, image_of};
use crate::driver::{Accel, Firmware, Folders, names};
use crate::ground::durable::private_folder;
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, NodeJson};

const MULTIPASS: Program = Program {
    name: "multipass",
    hint: "install it: `snap install multipass`, or see https://canonical.com/multipass",
};

/// A cluster's part of multipass.
#[derive(Debug, Clone)]
pub(super) struct Multipass {
    /// Beginning of the instances' names.
    prefix: String,
    /// The machines that were ever started.
    nodes: Vec<String>,
}

/// What `multipass list --format json` prints, as far as it is looked at.
#[derive(Deserialize)]
struct List {
    list: Vec<Instance>,
}

/// A machine of multipass.
#[derive(Debug, Clone, Deserialize)]
struct Instance {
    name: String,
    /// `Running`, `Stopped`, `Deleted` and others.
    state: String,
    /// The first one is multipass' own way to it.
    #[serde(default)]
    ipv4: Vec<Ipv4Addr>,
}

impl Multipass {
    pub(super) fn of(state: &State) -> Self {
        Self { prefix: state.prefix.clone(), nodes: state.nodes.keys().cloned().collect() }
    }

    fn instance(&self, node: &str) -> String {
        names::machine(&self.prefix, node)
    }

    /// The instances that there are, by name.
    fn list(&self) -> Result<BTreeMap<String, Instance>, DriverError> {
        let text = host::run(MULTIPASS, &["list", "--format", "json"].map(str::to_owned))?;
        let list: List = serde_json::from_str(&text).map_err(|error| DriverError::Program {
            command: "multipass list --format json".to_owned(),
            said: format!("{error}: {text}"),
        })?;
        Ok(list.list.into_iter().map(|instance| (instance.name.clone(), instance)).collect())
    }

    fn run(&self, verb: &[&str], node: &str) -> Result<(), DriverError> {
        let argv = verb.iter().map(|word| (*word).to_owned()).chain([self.instance(node)]);
        host::run(MULTIPASS, &argv.collect::<Vec<_>>()).map(drop)
    }
}

impl Machines for Multipass {
    fn running(&self) -> Result<BTreeSet<String>, DriverError> {
        if self.nodes.is_empty() {
            return Ok(BTreeSet::new());
        }
        let list = self.list()?;
        let is_running = |node: &&String| list.get(&self.instance(node)).is_some_and(Instance::is_running);
        Ok(self.nodes.iter().filter(is_running).cloned().collect())
    }

    fn network_is_up(&self) -> Result<bool, DriverError> {
        // It is multipass' own, and up while a machine is.
        Ok(!self.running()?.is_empty())
    }

    fn address(&self, node: &NodeJson, port: u16) -> Result<Option<SocketAddrV4>, DriverError> {
        if !self.nodes.contains(&node.name) {
            return Ok(None);
        }
        let list = self.list()?;
        let found = list.get(&self.instance(&node.name)).and_then(|instance| instance.ipv4.first());
        Ok(found.map(|address| SocketAddrV4::new(*address, port)))
    }

    fn has_console(&self) -> bool {
        false
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn press_power_buttons(&self, nodes: &[String]) {
        for node in nodes {
            let _ = self.run(&["stop"], node);
        }
    }

    fn end(&self, node: &str) -> Result<(), DriverError> {
        self.run(&["stop", "--force"], node)
    }

    fn delete(&self, node: &str, _keep_data: bool) -> Result<(), DriverError> {
        if self.list()?.contains_key(&self.instance(node)) {
            self.run(&["delete", "--purge"], node)?;
        }
        Ok(())
    }

    fn close(&self, _delete: bool) -> Result<(), DriverError> {
        Ok(())
    }
}

impl Instance {
    /// Also while it starts, and while it cannot say more.
    fn is_running(&self) -> bool {
        matches!(self.state.as_str(), "Running" | "Starting" | "Restarting" | "Delayed Shutdown" | "Unknown")
    }
}

/// Starts the machines that do not run. multipass waits for each until it has booted.
pub(super) fn start(
    request: &UpRequest<'_>,
    cluster: &ClusterJson,
    folders: &Folders,
    nodes: &[&NodeJson],
    state: &mut State,
    progress: &Progress,
) -> Result<Started, DriverError> {
    refuse(request, cluster)?;
    let mut begun = Started::new();
    let multipass = Multipass::of(state);
    let there = multipass.list()?;
    for node in nodes {
        let known = state.nodes.get(&node.name);
        let instance = there.get(&multipass.instance(&node.name));
        if known.is_none() && instance.is_some() {
            let name = multipass.instance(&node.name);
            return Err(DriverError::Taken { name, program: "multipass" });
        }
        if instance.is_some_and(Instance::is_running) {
            progress.line(&format!("{}: runs already", node.name));
            continue;
        }
        let image = image_of(cluster, folders, node)?;
        let below = known.filter(|_| instance.is_some()).map(|known| known.image_sha256.clone());
        private_folder(&folders.node(&node.name))?;
        let image_sha256 = below.unwrap_or_else(|| image.sha256.clone());
        let entry = NodeState { pid: None, image_sha256, accelerator: None, firmware: None };
        state.nodes.insert(node.name.clone(), entry);
        state.save(&folders.run)?;
        let task = progress.task(&format!("{}: multipass starts it", node.name));
        let timeout = request.timeout.as_secs().to_string();
        begun.insert(node.name.clone(), Stopwatch::start());
        let started = match instance {
            Some(_) => multipass.run(&["start", "--timeout", &timeout], &node.name),
            None => {
                let path = folders.results.join(&image.path);
                let argv = launch(&multipass.prefix, node, &path, &timeout);
                host::run_with(MULTIPASS, &argv, &user_data(node)).map(drop)
            }
        };
        match started {
            // It waits for a sign that only cloud-init gives. The machine may be well without it.
            Err(DriverError::Program { said, .. }) if said.contains("timed out") => {
                progress.line(&format!("{}: {said}", node.name));
            }
            outcome => outcome?,
        }
        task.finish();
    }
    Ok(begun)
}

/// What multipass cannot do.
fn refuse(request: &UpRequest<'_>, cluster: &ClusterJson) -> Result<(), DriverError> {
    let cannot = |what: &str, hint: &str| {
        Err(DriverError::Cannot { program: "multipass", what: what.to_owned(), hint: hint.to_owned() })
    };
    if request.firmware == Some(Firmware::Uefi) || request.accel != Accel::Auto {
        return cannot("let one choose firmware or accelerator", "leave out `--firmware` and `--accel`");
    }
    if cluster.nodes.iter().any(|node| node.data_disk_mib.is_some()) {
        let hint = "leave `data-disk` out of the profile's `[options]`, or use another driver";
        return cannot("attach a data disk", hint);
    }
    match cluster.nodes.iter().find(|node| node.seed.is_some()) {
        Some(node) => cannot(
            &format!("attach the seed of `{}`: it makes one of its own, without the node's keys", node.name),
            "build with `--identity baked`",
        ),
        None => Ok(()),
    }
}

/// The words after `multipass`; [`user_data`] goes to its standard input.
pub(super) fn launch(prefix: &str, node: &NodeJson, image: &Path, timeout: &str) -> Vec<String> {
    let mut argv = vec!["launch".to_owned(), format!("file://{}", image.display())];
    let mut add = |option: &str, value: String| argv.extend([option.to_owned(), value]);
    add("--name", names::machine(prefix, &node.name));
    add("--cpus", node.cpus.to_string());
    add("--memory", format!("{}M", node.memory_mib));
    if let Some(disk_mib) = node.disk_mib {
        add("--disk", format!("{disk_mib}M"));
    }
    add("--cloud-init", "-".to_owned());
    add("--timeout", timeout.to_owned());
    argv
}

/// Which node it is: multipass calls the machine otherwise.
pub(super) fn user_data(node: &NodeJson) -> String {
    format!("#cloud-config\nkiln:\n  node: \"{0}\"\n  hostname: \"{0}\"\n", node.name)
}
