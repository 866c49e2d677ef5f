//! `builder up`: the network, then the machines, then waiting for them. The state is written before each start.
//! This is how QEMU's start; those of other drivers start in their own modules.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::driver::error::DriverError;
use crate::driver::poll::Stopwatch;
use crate::driver::process::Process;
use crate::driver::replace::Replacement;
use crate::driver::rescue::Rescue;
use crate::driver::serial;
use crate::driver::state::{NodeState, State};
use crate::driver::status::{StatusReport, report};
use crate::driver::wait;
use crate::driver::wait::Wait;
use crate::driver::{
    Accel, Accelerator, Driver, Firmware, Folders, accel, disk, libvirt, multipass, network, qemu,
};
use crate::ground::arch::Arch;
use crate::ground::durable::private_folder;
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, ImageJson, NodeJson};

/// What `builder up` was asked for.
#[derive(Debug, Clone, Copy)]
pub struct UpRequest<'a> {
    /// The folder of results, `<out>/<profile>`.
    pub results: &'a Path,
    /// What runs the machines.
    pub runner: Runner<'a>,
    /// One node instead of all.
    pub node: Option<&'a str>,
    /// Whether that node gets a new disk, over the image of the last build.
    pub replace: bool,
    /// How the processors are to run.
    pub accel: Accel,
    /// What the machines boot with; when absent, BIOS where the architecture has it.
    pub firmware: Option<Firmware>,
    /// Whether everything that reaches the gateway is kept.
    pub capture: bool,
    /// More options for QEMU, of the machines that are started now.
    pub options: &'a [String],
    /// What to wait for.
    pub wait: Wait,
    /// How long.
    pub timeout: Duration,
}

/// What runs the machines.
#[derive(Debug, Clone, Copy)]
pub enum Runner<'a> {
    /// The unpacked root of the lock for the machines' architecture: QEMU, its firmware and qemu-img.
    Qemu(&'a Path),
    /// The host's libvirt.
    Libvirt,
    /// The host's multipass.
    Multipass,
}

impl Runner<'_> {
    fn driver(self) -> Driver {
        match self {
            Self::Qemu(_) => Driver::Qemu,
            Self::Libvirt => Driver::Libvirt,
            Self::Multipass => Driver::Multipass,
        }
    }
}

/// The machines that were not running before, and since when they do.
pub(super) type Started = BTreeMap<String, Stopwatch>;

/// Starts the machines that do not run yet and waits for all that were asked for.
///
/// # Errors
/// [`DriverError`]; what was started until then keeps running, and `down` ends it.
pub fn up(request: &UpRequest<'_>, progress: &Progress) -> Result<StatusReport, DriverError> {
    let cluster = ClusterJson::load(request.results)?;
    let driver = request.runner.driver();
    if driver != Driver::Qemu {
        refuse_foreign(&cluster, driver)?;
    }
    let firmware = firmware(request.firmware, cluster.arch)?;
    // Its network is one of fixed addresses.
    if cluster.network.cidr.is_none() && matches!(request.runner, Runner::Libvirt) {
        return Err(DriverError::Dhcp(cluster.name));
    }
    let nodes = super::select(&cluster, request.node)?;
    let folders = Folders::of(request.results)?;
    if driver != Driver::Qemu {
        refuse_what_is_for_qemu(request, driver)?;
    }
    wait::check(request.wait, &cluster, &folders, &nodes)?;
    let replacement = match nodes.first().filter(|_| request.replace) {
        Some(node) => Some(Replacement::begin(request, &cluster, &folders, node, progress)?),
        None => None,
    };
    private_folder(&folders.run)?;
    let started = {
        let _guard = folders.guard()?;
        let mut state = State::load(&folders.run)?;
        state.adopt(driver, &folders, &cluster.name)?;
        match request.runner {
            Runner::Qemu(root) => {
                network::ensure(&cluster, &folders, root, request.capture, &mut state)?;
                let (cluster, folders, state) = (&cluster, &folders, &mut state);
                Starter { request, firmware, root, cluster, folders, state }.nodes(&nodes, progress)?
            }
            Runner::Libvirt => libvirt::start(request, &cluster, &folders, &nodes, &mut state, progress)?,
            Runner::Multipass => multipass::start(request, &cluster, &folders, &nodes, &mut state, progress)?,
        }
    };
    let rescue = match request.runner {
        Runner::Qemu(root) => {
            Some(Rescue { request, firmware, root, cluster: &cluster, folders: &folders, progress })
        }
        _ => None,
    };
    wait::wait(request, &cluster, &folders, &nodes, started, rescue.as_ref(), progress)?;
    if let Some(replacement) = replacement {
        replacement.finish()?;
    }
    let report = report(&cluster, &folders)?;
    for node in report.nodes.iter().filter(|node| node.older) {
        let again = format!("builder up {} --replace {}", folders.arguments(), node.name);
        progress
            .line(&format!("{}: its disk is of an older image; `{again}` gives it the new one", node.name));
    }
    Ok(report)
}

/// Only the lock's QEMU runs machines of another architecture than this machine's.
pub(super) fn refuse_foreign(cluster: &ClusterJson, driver: Driver) -> Result<(), DriverError> {
    if cluster.arch == Arch::HOST {
        return Ok(());
    }
    Err(DriverError::Arch { cluster: cluster.name.clone(), arch: cluster.arch, driver })
}

/// What machines boot with: what was asked for, else what comes first with the architecture.
fn firmware(wanted: Option<Firmware>, arch: Arch) -> Result<Firmware, DriverError> {
    match (arch, wanted) {
        (Arch::Amd64, wanted) => Ok(wanted.unwrap_or(Firmware::Bios)),
        (Arch::Arm64, Some(Firmware::Bios)) => Err(DriverError::NoBios(arch)),
        (Arch::Arm64, _) => Ok(Firmware::Uefi),
    }
}

fn refuse_what_is_for_qemu(request: &UpRequest<'_>, driver: Driver) -> Result<(), DriverError> {
    let refuse = |what: &str, leave_out: &str| {
        let hint = format!("leave out {leave_out}");
        Err(DriverError::Cannot { program: driver.name(), what: what.to_owned(), hint })
    };
    if request.capture {
        return refuse("keep what reaches the gateway", "`--capture`");
    }
    if !request.options.is_empty() {
        return refuse("take options of QEMU", "what stands behind `--`");
    }
    Ok(())
}

/// The image that a node without a disk boots.
pub(super) fn image_of<'a>(
    cluster: &'a ClusterJson,
    folders: &Folders,
    node: &NodeJson,
) -> Result<&'a ImageJson, DriverError> {
    let path = folders.results.join(&node.image);
    let image = cluster.image_of(node).filter(|_| path.exists());
    image.ok_or_else(|| DriverError::NoImage { node: node.name.clone(), image: path.clone() })
}

pub(super) struct Starter<'a> {
    pub(super) request: &'a UpRequest<'a>,
    pub(super) firmware: Firmware,
    pub(super) root: &'a Path,
    pub(super) cluster: &'a ClusterJson,
    pub(super) folders: &'a Folders,
    pub(super) state: &'a mut State,
}

impl Starter<'_> {
    /// Starts the machines that do not run, then sees that each answers.
    fn nodes(&mut self, nodes: &[&NodeJson], progress: &Progress) -> Result<Started, DriverError> {
        let mut accelerator = None;
        let mut processes = Vec::new();
        let mut started = Started::new();
        for node in nodes {
            let process = self.folders.process(&node.name);
            if process.is_running()? {
                progress.line(&format!("{}: runs already", node.name));
                continue;
            }
            let accelerator = match accelerator {
                Some(known) => known,
                None => *accelerator.insert(self.accelerator(node, progress)?),
            };
            self.node(node, &process, accelerator)?;
            progress.line(&format!("{}: started ({accelerator})", node.name));
            started.insert(node.name.clone(), Stopwatch::start());
            processes.push(process);
        }
        processes.iter().try_for_each(Process::wait_for_start)?;
        Ok(started)
    }

    /// How the processors run: what the first machine shows holds for the others.
    fn accelerator(&self, node: &NodeJson, progress: &Progress) -> Result<Accelerator, DriverError> {
        let Self { request, firmware, root, cluster, folders, .. } = *self;
        accel::choose(request.accel, cluster.arch, progress, || {
            image_of(cluster, folders, node)?;
            let task = progress.task("trying KVM");
            let outcome = accel::try_node(request, (cluster, folders), node, firmware, root)?;
            task.finish();
            Ok(outcome)
        })
    }

    /// Starts a machine that does not run.
    pub(super) fn node(
        &mut self,
        node: &NodeJson,
        process: &Process,
        accelerator: Accelerator,
    ) -> Result<(), DriverError> {
        let image = image_of(self.cluster, self.folders, node)?;
        let below = disk::below(self.folders, &node.name)?;
        private_folder(&process.folder)?;
        let (arch, firmware) = (self.cluster.arch, self.firmware);
        let image_sha256 = below.unwrap_or_else(|| image.sha256.clone());
        let entry =
            NodeState { pid: None, image_sha256, accelerator: Some(accelerator), firmware: Some(firmware) };
        self.state.nodes.insert(node.name.clone(), entry);
        self.state.save(&self.folders.run)?;
        disk::ensure(self.folders, node, image, self.root)?;
        disk::ensure_data(self.folders, node, self.root)?;
        if firmware == Firmware::Uefi {
            disk::ensure_firmware(self.folders, arch, node, self.root)?;
        }
        serial::begin(&process.folder)?;
        let mut argv = qemu::machine(arch, node, accelerator, firmware, &super::places());
        argv.extend_from_slice(self.request.options);
        let sandbox = self.folders.sandbox(self.root);
        let pid = process.start_qemu(&sandbox, argv, &node.name)?;
        self.state.nodes.entry(node.name.clone()).and_modify(|node| node.pid = Some(pid));
        self.state.save(&self.folders.run)
    }
}
