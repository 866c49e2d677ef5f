//! `builder up`: the network, then the machines, then waiting for them. The state is written before each start.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;

use super::error::DriverError;
use super::poll::Stopwatch;
use super::process::Process;
use super::serial;
use super::state::{NodeState, State};
use super::status::{StatusReport, report};
use super::wait::{self, Wait};
use super::{Accel, Accelerator, Firmware, Folders, accel, disk, network, qemu};
use crate::lock::format::Arch;
use crate::progress::Progress;
use crate::report::cluster::{ClusterJson, NodeJson};

/// What `builder up` was asked for.
#[derive(Debug, Clone, Copy)]
pub struct UpRequest<'a> {
    /// The folder of results, `<out>/<profile>`.
    pub results: &'a Path,
    /// The unpacked root `qemu` of the lock: QEMU, its firmware and qemu-img.
    pub qemu_root: &'a Path,
    /// One node instead of all.
    pub node: Option<&'a str>,
    /// How the processors are to run.
    pub accel: Accel,
    /// What the machines boot with.
    pub firmware: Firmware,
    /// Whether everything that reaches the gateway is kept.
    pub capture: bool,
    /// What to wait for.
    pub wait: Wait,
    /// How long.
    pub timeout: Duration,
}

/// Starts the machines that do not run yet and waits for all that were asked for.
///
/// # Errors
/// [`DriverError`]; what was started until then keeps running, and `down` ends it.
pub fn up(request: &UpRequest<'_>, progress: &Progress) -> Result<StatusReport, DriverError> {
    let cluster = ClusterJson::load(request.results)?;
    if cluster.arch != Arch::Amd64 {
        let arch = cluster.arch.to_string();
        return Err(DriverError::Arch { cluster: cluster.name, arch });
    }
    let nodes = super::select(&cluster, request.node)?;
    let folders = Folders::of(request.results)?;
    wait::check(request.wait, &cluster, &folders, &nodes)?;
    super::make_private(&folders.run)?;
    let started = {
        let _guard = folders.guard()?;
        let mut state = State::load(&folders.run)?;
        network::ensure(&cluster, &folders, request.qemu_root, request.capture, &mut state)?;
        let mut starter = Starter { request, cluster: &cluster, folders: &folders, state: &mut state };
        starter.nodes(&nodes, progress)?
    };
    wait::wait(request, &cluster, &folders, &nodes, &started, progress)?;
    report(&cluster, &folders)
}

struct Starter<'a> {
    request: &'a UpRequest<'a>,
    cluster: &'a ClusterJson,
    folders: &'a Folders,
    state: &'a mut State,
}

impl Starter<'_> {
    /// Starts the machines that do not run, then sees that each answers. Returns since when these run.
    fn nodes(
        &mut self,
        nodes: &[&NodeJson],
        progress: &Progress,
    ) -> Result<BTreeMap<String, Stopwatch>, DriverError> {
        let mut accelerator = None;
        let mut processes = Vec::new();
        let mut started = BTreeMap::new();
        for node in nodes {
            let process = self.folders.process(&node.name);
            if process.is_running()? {
                progress.line(&format!("{}: runs already", node.name));
                continue;
            }
            let accelerator = match accelerator {
                Some(known) => known,
                None => {
                    let (root, run) = (self.request.qemu_root, &self.folders.run);
                    *accelerator.insert(accel::choose(self.request.accel, root, run)?)
                }
            };
            self.node(node, &process, accelerator)?;
            progress.line(&format!("{}: started ({accelerator})", node.name));
            started.insert(node.name.clone(), Stopwatch::start());
            processes.push(process);
        }
        processes.iter().try_for_each(Process::wait_for_start)?;
        Ok(started)
    }

    fn node(
        &mut self,
        node: &NodeJson,
        process: &Process,
        accelerator: Accelerator,
    ) -> Result<(), DriverError> {
        let image =
            self.cluster.image_of(node).filter(|image| self.folders.results.join(&image.path).exists());
        let image = image.ok_or_else(|| DriverError::NoImage {
            node: node.name.clone(),
            image: self.folders.results.join(&node.image),
        })?;
        super::make_private(&process.folder)?;
        let known = self.state.nodes.get(&node.name);
        let has_disk = process.folder.join(qemu::DISK).exists();
        if has_disk && known.is_none_or(|known| known.image_sha256 != image.sha256) {
            let image = self.folders.results.join(&image.path);
            let (profile, node) = (self.folders.profile(), node.name.clone());
            return Err(DriverError::ImageChanged { profile, node, image });
        }
        let firmware = self.request.firmware;
        let image_sha256 = image.sha256.clone();
        let entry = NodeState { pid: None, image_sha256, accelerator, firmware };
        self.state.nodes.insert(node.name.clone(), entry);
        self.state.save(&self.folders.run)?;
        disk::ensure(self.folders, node, self.request.qemu_root)?;
        if firmware == Firmware::Uefi {
            disk::ensure_firmware(self.folders, node, self.request.qemu_root)?;
        }
        let log = process.folder.join(serial::LOG);
        if log.exists() {
            fs::rename(&log, process.folder.join(serial::PREVIOUS))?;
        }
        let argv = qemu::machine(node, accelerator, firmware, &super::places());
        let sandbox = self.folders.sandbox(self.request.qemu_root);
        let pid = process.start_qemu(&sandbox, argv, &node.name)?;
        self.state.nodes.entry(node.name.clone()).and_modify(|node| node.pid = Some(pid));
        self.state.save(&self.folders.run)
    }
}
