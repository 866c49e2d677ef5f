//! Machines of this host's multipass, by its program. It makes each machine's seed and address itself: a node gets its
//! name by the user-data that is added to that seed, and is reached at the address that multipass tells.
//!
//! After multipass' source as of August 2026: the options of `launch` (src/client/cli/cmd/launch.cpp), the form of `list`
//! (src/client/cli/formatter/json_formatter.cpp) and its states (format_utils.cpp).

mod launch;
mod print;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde::Deserialize;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::hardware::{Accel, Firmware};
use crate::driver::host::{self, Program};
use crate::driver::machines::{
    Driver, Launch, Machines, Started, image_of, refuse_foreign, refuse_what_is_for_qemu,
};
use crate::driver::names;
use crate::driver::poll::Stopwatch;
use crate::driver::request::UpRequest;
use crate::driver::state::{NodeState, State};
use crate::ground::durable::private_folder;
use crate::results::cluster::{ClusterJson, NodeJson};

const PROGRAM: Program = Program {
    name: "multipass",
    hint: "install it: `snap install multipass`, or see https://canonical.com/multipass",
    advice: |_| None,
};

/// multipass of this machine.
#[derive(Debug)]
pub(super) struct Driven;

/// The driver.
pub(super) const MULTIPASS: Driven = Driven;

impl Driver for Driven {
    fn name(&self) -> &'static str {
        "multipass"
    }

    fn check(&self, request: &UpRequest<'_>, cluster: &ClusterJson) -> Result<(), DriverError> {
        refuse_foreign(cluster, self.name())?;
        refuse_what_is_for_qemu(request, self.name())?;
        self.check_names(cluster)?;
        refuse(request, cluster)
    }

    fn check_names(&self, cluster: &ClusterJson) -> Result<(), DriverError> {
        let prefix = names::prefix(&cluster.name);
        let mut machines = cluster.nodes.iter().map(|node| names::machine(&prefix, &node.name));
        let too_long = machines.find(|name| name.len() > LONGEST_NAME);
        too_long.map_or(Ok(()), |name| {
            let what = format!(
                "call a machine `{name}`: that has {} letters, and {LONGEST_NAME} are the most",
                name.len()
            );
            let hint = "give the cluster or the node a shorter `name` in the profile".to_owned();
            Err(DriverError::Cannot { program: self.name(), what, hint })
        })
    }

    fn start(
        &self,
        launch: &Launch<'_>,
        nodes: &[&NodeJson],
        state: &mut State,
    ) -> Result<Started, DriverError> {
        start(launch, nodes, state)
    }

    fn machines<'a>(&self, _folders: &'a Folders, state: &State) -> Box<dyn Machines + 'a> {
        Box::new(Multipass::of(state))
    }

    fn script(&self, cluster: &ClusterJson) -> String {
        print::script(cluster)
    }
}

/// A machine's name is its host name there, a label of DNS.
const LONGEST_NAME: usize = 63;

/// A cluster's part of multipass.
#[derive(Debug, Clone)]
struct Multipass {
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
        let text = host::run(PROGRAM, &["list", "--format", "json"].map(str::to_owned))?;
        let list: List = serde_json::from_str(&text).map_err(|error| DriverError::Program {
            command: "multipass list --format json".to_owned(),
            said: format!("{error}: {text}"),
            hint: None,
        })?;
        Ok(list.list.into_iter().map(|instance| (instance.name.clone(), instance)).collect())
    }

    fn run(&self, verb: &[&str], node: &str) -> Result<(), DriverError> {
        let argv = verb.iter().map(|word| (*word).to_owned()).chain([self.instance(node)]);
        host::run(PROGRAM, &argv.collect::<Vec<_>>()).map(drop)
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
fn start(of: &Launch<'_>, nodes: &[&NodeJson], state: &mut State) -> Result<Started, DriverError> {
    let Launch { request, cluster, folders, progress, .. } = *of;
    let mut begun = Started::new();
    let multipass = Multipass::of(state);
    let there = multipass.list()?;
    for node in nodes {
        let known = state.nodes.get(&node.name);
        let instance = there.get(&multipass.instance(&node.name));
        if known.is_none() && instance.is_some() {
            let name = multipass.instance(&node.name);
            let hint = format!("`multipass delete --purge {name}` gives it up");
            return Err(DriverError::Taken { name, program: "multipass", hint });
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
                let argv = launch::launch(&multipass.prefix, node, &path, &timeout);
                host::run_with(PROGRAM, &argv, &launch::user_data(node)).map(drop)
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
