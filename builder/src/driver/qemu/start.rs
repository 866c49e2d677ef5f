//! How QEMU's machines start: each on its own disk, and the first one shows how the processors run.

use std::path::Path;

use crate::driver::error::DriverError;
use crate::driver::hardware::{Accelerator, Firmware};
use crate::driver::machines::{Launch, Started, image_of};
use crate::driver::poll::Stopwatch;
use crate::driver::qemu::places::places;
use crate::driver::qemu::process::Process;
use crate::driver::qemu::{accel, disk, machine};
use crate::driver::request::UpRequest;
use crate::driver::serial;
use crate::driver::state::{NodeState, State};
use crate::ground::durable::private_folder;
use crate::results::cluster::NodeJson;

/// Starts machines of a cluster.
pub(super) struct Starter<'a> {
    launch: &'a Launch<'a>,
    root: &'a Path,
    state: &'a mut State,
}

/// The unpacked root with QEMU.
pub(super) fn root<'a>(request: &UpRequest<'a>) -> Result<&'a Path, DriverError> {
    request
        .root
        .ok_or(DriverError::NoProgram { name: "QEMU", hint: "it is the lockfile's: `builder up` fetches it" })
}

impl<'a> Starter<'a> {
    pub(super) fn new(launch: &'a Launch<'a>, state: &'a mut State) -> Result<Self, DriverError> {
        Ok(Self { launch, root: root(launch.request)?, state })
    }

    /// Starts the machines that do not run, then sees that each answers.
    pub(super) fn nodes(&mut self, nodes: &[&NodeJson]) -> Result<Started, DriverError> {
        let Launch { folders, progress, .. } = *self.launch;
        let mut accelerator = None;
        let mut processes = Vec::new();
        let mut started = Started::new();
        for node in nodes {
            let process = folders.process(&node.name);
            if process.is_running()? {
                progress.line(&format!("{}: runs already", node.name));
                continue;
            }
            let accelerator = match accelerator {
                Some(known) => known,
                None => *accelerator.insert(self.accelerator(node)?),
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
    fn accelerator(&self, node: &NodeJson) -> Result<Accelerator, DriverError> {
        let Launch { request, cluster, folders, progress, .. } = *self.launch;
        accel::choose(request.accel, cluster.arch, progress, || {
            image_of(cluster, folders, node)?;
            let task = progress.task("trying KVM");
            let outcome = accel::try_node(self.launch, node, self.root)?;
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
        let Launch { request, cluster, folders, firmware, .. } = *self.launch;
        let image = image_of(cluster, folders, node)?;
        let below = disk::below(folders, &node.name)?;
        private_folder(&process.folder)?;
        let arch = cluster.arch;
        let image_sha256 = below.unwrap_or_else(|| image.sha256.clone());
        let entry =
            NodeState { pid: None, image_sha256, accelerator: Some(accelerator), firmware: Some(firmware) };
        self.state.nodes.insert(node.name.clone(), entry);
        self.state.save(&folders.run)?;
        disk::ensure(folders, node, image, self.root)?;
        disk::ensure_data(folders, node, self.root)?;
        if firmware == Firmware::Uefi {
            disk::ensure_firmware(folders, arch, node, self.root)?;
        }
        serial::begin(&process.folder)?;
        let mut argv = machine::machine(arch, node, accelerator, firmware, &places());
        argv.extend_from_slice(request.options);
        let sandbox = folders.sandbox(self.root);
        let pid = process.start_qemu(&sandbox, argv, &node.name)?;
        self.state.nodes.entry(node.name.clone()).and_modify(|node| node.pid = Some(pid));
        self.state.save(&folders.run)
    }
}
