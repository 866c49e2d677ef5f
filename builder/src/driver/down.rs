//! `builder down`: machines are asked to power off, then ended; the network goes with the last of them. It works from
//! what was started, not from what was built, and does nothing twice.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;

use super::error::DriverError;
use super::poll::until;
use super::process::Process;
use super::state::State;
use super::{Folders, accel, network};
use crate::progress::Progress;
use crate::report::cluster::ClusterJson;

/// What `builder down` was asked for.
#[derive(Debug, Clone, Copy)]
pub struct DownRequest<'a> {
    /// The folder of results, `<out>/<profile>`.
    pub results: &'a Path,
    /// One node instead of all.
    pub node: Option<&'a str>,
    /// How long a machine may take to power off; zero ends it at once.
    pub grace: Duration,
    /// Whether its disk, logs and settings go as well.
    pub delete: bool,
}

/// Ends what runs. Afterwards there is no process and no socket left.
///
/// # Errors
/// [`DriverError::StillRunning`] when not even killing helped.
pub fn down(request: &DownRequest<'_>, progress: &Progress) -> Result<(), DriverError> {
    if let Some(name) = request.node {
        let known = State::load(&request.results.join(super::RUN))?.nodes.contains_key(name);
        if !known {
            super::select(&ClusterJson::load(request.results)?, Some(name))?;
        }
    }
    if !request.results.join(super::RUN).exists() {
        return Ok(());
    }
    let folders = Folders::of(request.results)?;
    let _guard = folders.guard()?;
    let mut state = State::load(&folders.run)?;
    let names: Vec<String> =
        state.nodes.keys().filter(|name| request.node.is_none_or(|node| *name == node)).cloned().collect();
    accel::clean(&folders.run)?;
    for process in power_off(&folders, &names, request.grace)? {
        let name = &process.name;
        if process.is_running()? {
            if !request.grace.is_zero() {
                let seconds = request.grace.as_secs();
                progress.line(&format!("{name}: did not power off within {seconds} s, ended"));
            }
            process.end(state.nodes.get(name).and_then(|node| node.pid))?;
        }
        progress.line(&format!("{name}: stopped"));
    }
    for name in &names {
        folders.process(name).remove_sockets()?;
        state.nodes.entry(name.clone()).and_modify(|node| node.pid = None);
    }
    let mut others = false;
    for name in state.nodes.keys() {
        others |= folders.process(name).is_running()?;
    }
    if !others {
        network::end(&folders, &mut state)?;
    }
    if request.delete {
        for name in &names {
            state.nodes.remove(name);
            let folder = folders.node(name);
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
    }
    state.save(&folders.run)?;
    if request.delete && !others && state.nodes.is_empty() {
        fs::remove_dir_all(&folders.run)?;
    }
    Ok(())
}

fn all_stopped(machines: &[Process]) -> Result<Option<()>, DriverError> {
    for machine in machines {
        if machine.is_running()? {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

/// A guest that has not loaded its button's driver yet misses a press; one that shuts down ignores another.
const PRESS_AGAIN: Duration = Duration::from_secs(5);

/// Presses every power button and waits for all. Returns the machines that ran.
fn power_off(folders: &Folders, names: &[String], grace: Duration) -> Result<Vec<Process>, DriverError> {
    let mut ran = Vec::new();
    for name in names {
        let process = folders.process(name);
        if process.is_running()? {
            ran.push(process);
        }
    }
    if grace.is_zero() {
        return Ok(ran);
    }
    let mut left = grace;
    while !left.is_zero() {
        ran.iter().for_each(Process::press_power_button);
        let slice = left.min(PRESS_AGAIN);
        if until(slice, Duration::from_millis(100), || all_stopped(&ran))?.is_some() {
            break;
        }
        left -= slice;
    }
    Ok(ran)
}
