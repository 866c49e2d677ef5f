//! Asking the API server what it says of the nodes, again and again, while `up` waits for them. How one asks belongs to
//! [`api`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firstboot::schema::Duty;

use crate::driver::api::Api;
use crate::driver::boot::Stage;
use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::machines::{Machines, Started, look};
use crate::driver::poll::Stopwatch;
use crate::driver::ready::Ready;
use crate::driver::serial::Console;
use crate::results::cluster::{ClusterJson, NodeJson};

/// The pauses between questions to the API server: an answer costs an emulated machine much, so it shall not spend
/// more than a fifth of its time on them, as long as a pause is within these.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));

/// Asks the API server for the nodes, once its machine has booted, and not all the time.
pub(super) struct Asker<'a> {
    machines: &'a dyn Machines,
    cluster: &'a ClusterJson,
    folders: &'a Folders,
    started: Started,
    pub(super) planes: Vec<(&'a str, Console)>,
    booted: bool,
    api: Option<Api>,
    /// Since the last answer.
    asked: Stopwatch,
    pause: Duration,
    pub(super) known: BTreeMap<String, Ready>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        cluster: &'a ClusterJson,
        folders: &'a Folders,
        machines: &'a dyn Machines,
        started: Started,
    ) -> Result<Self, DriverError> {
        let console = |plane: &'a NodeJson| (plane.name.as_str(), Console::of(&folders.node(&plane.name)));
        Ok(Self {
            machines,
            cluster,
            folders,
            started,
            planes: cluster.with(Duty::ApiServer).map(console).collect(),
            booted: false,
            api: Api::of(&folders.results, cluster, machines)?,
            asked: Stopwatch::start(),
            pause: PAUSES.0,
            known: BTreeMap::new(),
        })
    }

    pub(super) fn ask(&mut self, running: &BTreeSet<String>) -> Result<(), DriverError> {
        if !self.booted {
            for (name, console) in &mut self.planes {
                self.booted |= look(self.machines, console, running.contains(*name))?.stage >= Stage::Login;
            }
        }
        if !self.booted || self.asked.elapsed() < self.pause {
            return Ok(());
        }
        if self.api.is_none() {
            // Its address may not have been known before, or another control plane may run by now.
            self.api = Api::of(&self.folders.results, self.cluster, self.machines)?;
        }
        let answer = Stopwatch::start();
        let nodes = self.api.as_ref().and_then(Api::nodes);
        if nodes.is_none() {
            self.api = None;
        }
        if let Some(nodes) = nodes {
            self.known = nodes.known.clone();
            for (name, since) in &self.started {
                self.known.extend(nodes.since(name, since.elapsed()).map(|ready| (name.clone(), ready)));
            }
        }
        self.pause = (answer.elapsed() * 4).clamp(PAUSES.0, PAUSES.1);
        self.asked = Stopwatch::start();
        Ok(())
    }

    /// These machines were started again: what they showed and what was known of them is over.
    pub(super) fn begin_anew(&mut self, names: &BTreeSet<String>) {
        for name in names {
            self.known.remove(name);
            self.started.insert(name.clone(), Stopwatch::start());
        }
        for (name, console) in self.planes.iter_mut().filter(|(name, _)| names.contains(*name)) {
            *console = Console::of(&self.folders.node(name));
            self.booted = false;
        }
    }

    /// Whether a pod may be created.
    pub(super) fn takes_pods(&self) -> bool {
        self.api.as_ref().is_some_and(Api::takes_pods)
    }
}
