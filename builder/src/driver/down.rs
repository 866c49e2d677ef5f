//! `builder down`: machines are asked to power off, then ended; the network goes with the last of them. It works from
//! what was started, not from what was built, and does nothing twice.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;

use crate::driver::error::DriverError;
use crate::driver::folders::{Folders, RUN, select};
use crate::driver::machines::Machines;
use crate::driver::names::DATA_DISK;
use crate::driver::poll::until;
use crate::driver::registry;
use crate::driver::request::{Delete, DownRequest};
use crate::driver::state::State;
use crate::ground::progress::Progress;
use crate::results::cluster::ClusterJson;
use crate::results::publish;

/// Ends what runs. Afterwards there is no process and no socket left.
///
/// # Errors
/// [`DriverError::StillRunning`] when not even killing helped.
pub fn down(request: &DownRequest<'_>, progress: &Progress) -> Result<(), DriverError> {
    if let Some(name) = request.node {
        let known = State::load(&request.results.join(RUN))?.nodes.contains_key(name);
        if !known {
            select(&ClusterJson::load(request.results)?, Some(name))?;
        }
    }
    if !request.results.join(RUN).exists() {
        return Ok(());
    }
    let folders = Folders::of(request.results)?;
    let _guard = folders.guard()?;
    let mut state = State::load(&folders.run)?;
    let names: Vec<String> =
        state.nodes.keys().filter(|name| request.node.is_none_or(|node| *name == node)).cloned().collect();
    let machines = registry::machines(&folders, &state)?;
    let ran = power_off(&*machines, &names, request.grace)?;
    let left = machines.running()?;
    for name in &ran {
        if left.contains(name) {
            if !request.grace.is_zero() {
                let seconds = request.grace.as_secs();
                progress.line(&format!("{name}: did not power off within {seconds} s, ended"));
            }
            machines.end(name)?;
        }
        progress.line(&format!("{name}: stopped"));
    }
    for name in &names {
        machines.tidy(name)?;
        state.nodes.entry(name.clone()).and_modify(|node| node.pid = None);
    }
    let delete = request.delete != Delete::Nothing;
    if delete {
        let keep_data = request.delete == Delete::AllButData;
        for name in &names {
            machines.delete(name, keep_data)?;
            state.nodes.remove(name);
            remove(&folders.node(name), keep_data)?;
        }
        publish::remove_unneeded(&folders.results)?;
    }
    let others = !machines.running()?.is_empty();
    if !others {
        machines.close(request.delete == Delete::All && state.nodes.is_empty())?;
        state.network = None;
    }
    state.save(&folders.run)?;
    if request.delete == Delete::All && !others && state.nodes.is_empty() {
        fs::remove_dir_all(&folders.run)?;
    }
    Ok(())
}

/// Removes a machine's folder, or all in it but its data disk.
fn remove(folder: &Path, keep_data: bool) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    if !keep_data || !folder.join(DATA_DISK).exists() {
        return fs::remove_dir_all(folder);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name != DATA_DISK) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A guest that has not loaded its button's driver yet misses a press; one that shuts down ignores another.
const PRESS_AGAIN: Duration = Duration::from_secs(5);

/// Presses every power button and waits for all. Returns the machines that ran.
fn power_off(machines: &dyn Machines, names: &[String], grace: Duration) -> Result<Vec<String>, DriverError> {
    let running = || -> Result<Vec<String>, DriverError> {
        let running = machines.running()?;
        Ok(names.iter().filter(|name| running.contains(*name)).cloned().collect())
    };
    let ran = running()?;
    let mut left = if ran.is_empty() { Duration::ZERO } else { grace };
    while !left.is_zero() {
        machines.press_power_buttons(&running()?);
        let slice = left.min(PRESS_AGAIN);
        let pause = machines.pause().min(Duration::from_millis(500));
        if until(slice, pause, || Ok::<_, DriverError>(running()?.is_empty().then_some(())))?.is_some() {
            break;
        }
        left -= slice;
    }
    Ok(ran)
}
