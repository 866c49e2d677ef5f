//! What `builder up` waits for, and what it says meanwhile: each step of each node with its time since the start, and
//! in the end why a node is not Ready.

use std::time::Duration;

use firstboot::schema::Duty;

use crate::driver::asker::{Asker, PAUSES};
use crate::driver::boot::Seen;
use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::machines::{Driver, Launch, Started, look};
use crate::driver::poll::{self, Stopwatch};
use crate::driver::ready::Ready;
use crate::driver::registry;
use crate::driver::request::{UpRequest, Wait};
use crate::driver::serial::{self, Console};
use crate::driver::state::State;
use crate::ground::progress::{Progress, Task};
use crate::results::cluster::{ClusterJson, NodeJson};

/// Ready takes a control plane.
pub(super) fn check(
    wait: Wait,
    cluster: &ClusterJson,
    folders: &Folders,
    nodes: &[&NodeJson],
) -> Result<(), DriverError> {
    if !asks(wait, nodes) {
        return Ok(());
    }
    let running = registry::machines(folders, &State::load(&folders.run)?)?.running()?;
    if cluster.with(Duty::ApiServer).any(|plane| nodes.contains(&plane) || running.contains(&plane.name)) {
        return Ok(());
    }
    Err(DriverError::NoControlPlane(nodes.first().map(|node| node.name.clone()).unwrap_or_default()))
}

/// Whether the API server is asked.
fn asks(wait: Wait, nodes: &[&NodeJson]) -> bool {
    wait == Wait::Ready && nodes.iter().any(|node| node.has(Duty::Kubelet))
}

/// A node that is waited for.
struct Waiting<'a> {
    node: &'a NodeJson,
    console: Console,
    task: Task<'a>,
    /// What was last said about it.
    said: String,
}

impl<'a> Waiting<'a> {
    fn new(node: &'a NodeJson, folders: &Folders, wait: Wait, progress: &'a Progress) -> Self {
        Self {
            node,
            console: Console::of(&folders.node(&node.name)),
            task: progress.task(&format!("{}: up to {}", node.name, wait.name())),
            said: String::new(),
        }
    }
}

/// Waits until every node is as far as was asked; `started` says which machines were not running before.
pub(super) fn wait<'a>(
    driver: &dyn Driver,
    launch: &Launch<'a>,
    nodes: &[&'a NodeJson],
    started: Started,
) -> Result<(), DriverError> {
    let Launch { request, cluster, folders, progress, .. } = *launch;
    if request.wait == Wait::None {
        return Ok(());
    }
    let wanted = request.wait.name();
    let since = Stopwatch::start();
    let machines = registry::machines(folders, &State::load(&folders.run)?)?;
    let asker = || Asker::new(cluster, folders, &*machines, started);
    let mut asker = asks(request.wait, nodes).then(asker).transpose()?;
    let begin = |node: &&'a NodeJson| Waiting::new(node, folders, request.wait, progress);
    let mut waiting: Vec<Waiting<'_>> = nodes.iter().map(begin).collect();
    let all = poll::until(request.timeout, machines.pause(), || {
        let again = driver.revive(launch)?;
        if !again.is_empty() {
            waiting.retain(|node| !again.contains(&node.node.name));
            waiting.extend(nodes.iter().filter(|node| again.contains(&node.name)).map(begin));
            asker.iter_mut().for_each(|asker| asker.begin_anew(&again));
        }
        // Asked first: what a machine says last is read after it has stopped.
        let running = machines.running()?;
        if let Some(asker) = &mut asker {
            asker.ask(&running)?;
        }
        let mut left = Vec::new();
        for mut node in waiting.drain(..) {
            let running = running.contains(&node.node.name);
            let seen = look(&*machines, &mut node.console, running)?;
            let ready = asker.as_ref().and_then(|asker| asker.known.get(&node.node.name));
            let now = state(&seen, ready);
            if now != node.said {
                node.task.say(&format!("{} at {:.0} s", now, since.elapsed().as_secs_f64()));
                node.said = now;
            }
            if request.wait.is_reached(node.node, &seen, ready) {
                node.task.finish();
                continue;
            }
            refuse(folders, &node.node.name, &seen, running, wanted)?;
            left.push(node);
        }
        waiting = left;
        Ok::<_, DriverError>(waiting.is_empty().then_some(()))
    })?;
    if let (None, Some(node)) = (all, waiting.first()) {
        return Err(late(request, folders, &node.node.name, &node.said)?);
    }
    let left = request.timeout.saturating_sub(since.elapsed());
    asker.map_or(Ok(()), |asker| wait_for_pods(driver, launch, &asker, left))
}

/// Ready nodes that nobody may give a pod yet are of little use.
fn wait_for_pods(
    driver: &dyn Driver,
    launch: &Launch<'_>,
    asker: &Asker<'_>,
    left: Duration,
) -> Result<(), DriverError> {
    let Launch { request, folders, progress, .. } = *launch;
    let task = progress.task("the cluster: up to its first pod");
    let takes_pods = || {
        driver.revive(launch)?;
        Ok::<_, DriverError>(asker.takes_pods().then_some(()))
    };
    if poll::until(left, PAUSES.0, takes_pods)?.is_none() {
        let plane = asker.planes.first().map_or("", |(name, _)| name);
        let reason = "its controller manager has not made the service account that pods need";
        return Err(late(request, folders, plane, reason)?);
    }
    task.finish();
    Ok(())
}

/// A node did not get as far as was asked in time.
fn late(
    request: &UpRequest<'_>,
    folders: &Folders,
    node: &str,
    reason: &str,
) -> Result<DriverError, DriverError> {
    Ok(DriverError::TimedOut {
        results: folders.arguments(),
        node: node.to_owned(),
        wanted: request.wait.name(),
        reason: reason.into(),
        after: request.timeout,
        log: serial::tail(&folders.node(node))?,
    })
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
    name: &str,
    seen: &Seen,
    running: bool,
    wanted: &'static str,
) -> Result<(), DriverError> {
    let (results, node, folder) = (folders.arguments(), name.to_owned(), folders.node(name));
    match &seen.trouble {
        Some(trouble) => {
            let trouble = trouble.clone();
            Err(DriverError::Trouble { results, node, wanted, trouble, log: serial::tail(&folder)? })
        }
        None if !running => Err(DriverError::Stopped { results, node, wanted, log: serial::tail(&folder)? }),
        None => Ok(()),
    }
}
