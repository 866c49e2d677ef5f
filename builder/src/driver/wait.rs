//! What `builder up` waits for, and what it says meanwhile: each step of each node with its time since the start, and
//! in the end why a node is not Ready.

use std::collections::BTreeMap;
use std::time::Duration;

use super::api::{self, Api, Ready};
use super::boot::{Seen, Stage};
use super::error::DriverError;
use super::poll::{self, Stopwatch};
use super::serial::{self, Console};
use super::state::State;
use super::up::UpRequest;
use super::{Folders, process::Process};
use crate::progress::{Progress, Task};
use crate::report::cluster::{ClusterJson, NodeJson};

/// What `up` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wait {
    /// Nothing: the machines run.
    None,
    /// firstboot has given each node its values.
    Firstboot,
    /// Each node shows its login prompt.
    Login,
    /// The API server calls each node Ready.
    Ready,
}

impl Wait {
    /// For people.
    fn name(self) -> &'static str {
        match self {
            Self::None => "its start",
            Self::Firstboot => Stage::Firstboot.name(),
            Self::Login => Stage::Login.name(),
            Self::Ready => "Ready",
        }
    }

    fn is_reached(self, seen: &Seen, ready: Option<&Ready>) -> bool {
        match self {
            Self::None => true,
            Self::Firstboot => seen.stage >= Stage::Firstboot,
            Self::Login => seen.stage >= Stage::Login,
            Self::Ready => ready.is_some_and(|ready| ready.ready),
        }
    }
}

/// How often consoles are read.
const PAUSE: Duration = Duration::from_millis(200);

/// The pauses between questions to the API server: an answer costs an emulated machine much, so it shall not spend
/// more than a fifth of its time on them, as long as a pause is within these.
const ASK: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));

/// Ready takes a control plane.
pub(super) fn check(
    wait: Wait,
    cluster: &ClusterJson,
    folders: &Folders,
    nodes: &[&NodeJson],
) -> Result<(), DriverError> {
    if wait != Wait::Ready {
        return Ok(());
    }
    for plane in api::planes(cluster) {
        if nodes.contains(&plane) || folders.process(&plane.name).is_running()? {
            return Ok(());
        }
    }
    Err(DriverError::NoControlPlane(nodes.first().map(|node| node.name.clone()).unwrap_or_default()))
}

/// A node that is waited for.
struct Waiting<'a> {
    process: Process,
    console: Console,
    task: Task<'a>,
    /// What was last said about it.
    said: String,
}

/// Waits until every node is as far as was asked; `started` says which machines were not running before.
pub(super) fn wait(
    request: &UpRequest<'_>,
    cluster: &ClusterJson,
    folders: &Folders,
    nodes: &[&NodeJson],
    started: &BTreeMap<String, Stopwatch>,
    progress: &Progress,
) -> Result<(), DriverError> {
    if request.wait == Wait::None {
        return Ok(());
    }
    let wanted = request.wait.name();
    let since = Stopwatch::start();
    let api = match request.wait {
        Wait::Ready => Api::of(&folders.results, cluster, &State::load(&folders.run)?)?,
        _ => None,
    };
    let mut known: BTreeMap<String, Ready> = BTreeMap::new();
    let (mut asked, mut pause) = (Stopwatch::start(), ASK.0);
    let mut planes: Vec<Console> =
        api::planes(cluster).map(|plane| Console::of(&folders.node(&plane.name))).collect();
    let mut booted = false;
    let task = |node: &&NodeJson| Waiting {
        process: folders.process(&node.name),
        console: Console::of(&folders.node(&node.name)),
        task: progress.task(&format!("{}: up to {wanted}", node.name)),
        said: String::new(),
    };
    let mut waiting: Vec<Waiting<'_>> = nodes.iter().map(task).collect();
    let all = poll::until(request.timeout, PAUSE, || {
        // The API server is asked once its machine has booted, and not all the time.
        if !booted {
            for plane in &mut planes {
                booted |= plane.look()?.stage >= Stage::Login;
            }
        }
        if let Some(api) = api.as_ref().filter(|_| booted && asked.elapsed() >= pause) {
            let answer = Stopwatch::start();
            if let Some(nodes) = api.nodes() {
                known = nodes.known.clone();
                for (name, since) in started {
                    known.extend(nodes.since(name, since.elapsed()).map(|ready| (name.clone(), ready)));
                }
            }
            pause = (answer.elapsed() * 4).clamp(ASK.0, ASK.1);
            asked = Stopwatch::start();
        }
        let mut left = Vec::new();
        for mut node in waiting.drain(..) {
            // Asked first: what it says last is read after it has stopped.
            let running = node.process.is_running()?;
            let seen = node.console.look()?;
            let ready = known.get(&node.process.name);
            let now = state(&seen, ready);
            if now != node.said {
                node.task.say(&format!("{} at {:.0} s", now, since.elapsed().as_secs_f64()));
                node.said = now;
            }
            if request.wait.is_reached(&seen, ready) {
                node.task.finish();
                continue;
            }
            refuse(folders, &node.process, &seen, running, wanted)?;
            left.push(node);
        }
        waiting = left;
        Ok::<_, DriverError>(waiting.is_empty().then_some(()))
    })?;
    match (all, waiting.first()) {
        (None, Some(node)) => Err(DriverError::TimedOut {
            profile: folders.profile(),
            node: node.process.name.clone(),
            wanted,
            reason: node.said.as_str().into(),
            after: request.timeout,
            log: serial::tail(&node.process.folder)?,
        }),
        _ => Ok(()),
    }
}

/// How far a node is, in words.
fn state(seen: &Seen, ready: Option<&Ready>) -> String {
    match ready {
        Some(Ready { ready: true, .. }) => "Ready".to_owned(),
        Some(Ready { reason, .. }) => {
            format!("not Ready: {}", reason.as_deref().unwrap_or("no reason is given"))
        }
        None => seen.stage.name().to_owned(),
    }
}

/// A machine that stopped, or whose console says that it will not come up.
fn refuse(
    folders: &Folders,
    process: &Process,
    seen: &Seen,
    running: bool,
    wanted: &'static str,
) -> Result<(), DriverError> {
    let (profile, node, folder) = (folders.profile(), process.name.clone(), &process.folder);
    match &seen.trouble {
        Some(trouble) => {
            let trouble = trouble.clone();
            Err(DriverError::Trouble { profile, node, wanted, trouble, log: serial::tail(folder)? })
        }
        None if !running => Err(DriverError::Stopped { profile, node, wanted, log: serial::tail(folder)? }),
        None => Ok(()),
    }
}
