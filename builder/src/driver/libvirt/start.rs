//! `builder up --driver libvirt`: the network, the pool, then the machines. The state is written before each start.

use std::collections::BTreeSet;

use fs_err as fs;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::hardware::{Accel, Accelerator, Firmware};
use crate::driver::libvirt::client::Libvirt;
use crate::driver::libvirt::domain::VIRT_INSTALL;
use crate::driver::libvirt::{network, pool};
use crate::driver::machines::{Launch, Machines, Started, image_of};
use crate::driver::poll::Stopwatch;
use crate::driver::state::{LibvirtState, NodeState, State};
use crate::driver::{host, names, serial};
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, NodeJson};

/// Starts the machines that do not run.
pub(super) fn start(
    launch: &Launch<'_>,
    nodes: &[&NodeJson],
    state: &mut State,
) -> Result<Started, DriverError> {
    let Launch { request, cluster, folders, firmware, progress } = *launch;
    let mut started = Started::new();
    let mut starter = Starter { libvirt: Libvirt::of(state), firmware, cluster, folders, state, progress };
    let running = starter.libvirt.running()?;
    starter.network(running.is_empty())?;
    starter.libvirt.ensure_pool(folders)?;
    let mut accelerator = None;
    for node in nodes {
        if running.contains(&node.name) {
            progress.line(&format!("{}: runs already", node.name));
            continue;
        }
        let chosen = match accelerator {
            Some(chosen) => chosen,
            None => *accelerator.insert(starter.libvirt.accelerator(request.accel)?),
        };
        starter.node(node, chosen)?;
        started.insert(node.name.clone(), Stopwatch::start());
        progress.line(&format!("{}: started ({chosen})", node.name));
    }
    Ok(started)
}

struct Starter<'a> {
    libvirt: Libvirt,
    firmware: Firmware,
    cluster: &'a ClusterJson,
    folders: &'a Folders,
    state: &'a mut State,
    progress: &'a Progress,
}

impl Starter<'_> {
    fn network(&mut self, may_change: bool) -> Result<(), DriverError> {
        let definition = network::definition(self.cluster, &self.libvirt.prefix);
        let known = self.state.libvirt.get_or_insert_with(|| LibvirtState {
            uri: self.libvirt.uri.clone(),
            network: definition.clone(),
            images: BTreeSet::new(),
        });
        if known.network != definition {
            if !may_change {
                let (results, cluster) = (self.folders.arguments(), self.cluster.name.clone());
                return Err(DriverError::NetworkChanged { results, cluster });
            }
            self.libvirt.end_network(true)?;
            known.network.clone_from(&definition);
        }
        self.state.save(&self.folders.run)?;
        self.libvirt.ensure_network(self.folders, &definition)
    }

    fn node(&mut self, node: &NodeJson, accelerator: Accelerator) -> Result<(), DriverError> {
        let (libvirt, folders) = (&self.libvirt, self.folders);
        let has_disk = libvirt.has_disk(&node.name)?;
        let known = self.state.nodes.get(&node.name);
        let image = image_of(self.cluster, folders, node)?;
        // A disk of somebody else's is deleted below.
        let below = known.filter(|_| has_disk).map(|known| known.image_sha256.clone());
        let is_known = known.is_some();
        let domain = libvirt.domain(&node.name);
        if !is_known && libvirt.names(&["list", "--all", "--name"])?.contains(&domain) {
            let hint = format!("`virsh --connect {} undefine --nvram {domain}` gives it up", libvirt.uri);
            return Err(DriverError::Taken { name: domain, program: "libvirt", hint });
        }
        let folder = folders.node(&node.name);
        crate::ground::durable::private_folder(&folder)?;
        let firmware = self.firmware;
        let entry = NodeState {
            pid: None,
            image_sha256: below.unwrap_or_else(|| image.sha256.clone()),
            accelerator: Some(accelerator),
            firmware: Some(firmware),
        };
        self.state.nodes.insert(node.name.clone(), entry);
        self.state.save(&folders.run)?;
        let task = self.progress.task(&format!("{}: its disk", node.name));
        if let Some(known) = &mut self.state.libvirt
            && libvirt.ensure_image(folders, image, known)?
        {
            self.state.save(&folders.run)?;
        }
        if !(has_disk && is_known) {
            // A disk of a cluster of the same name that was never deleted.
            libvirt.delete_volumes(|volume| pool::is_of(volume, &node.name))?;
            libvirt.make_disk(folders, self.cluster, node)?;
        }
        libvirt.ensure_data_disk(node)?;
        if let Some(seed) = &node.seed {
            let path = folders.results.join(seed);
            let size = fs::metadata(&path)?.len();
            libvirt.upload(&names::seed(&node.name), &path.to_string_lossy(), size, "raw")?;
        }
        task.finish();
        let log = serial::begin(&folder)?;
        // Made here, so that it belongs to this user: libvirt only writes to it.
        fs::File::create(&log)?;
        // Its processors, its memory or the firmware may be others than at its last start.
        libvirt.undefine(&node.name, "--keep-nvram")?;
        let cpu = match accelerator {
            Accelerator::Kvm => "host-passthrough",
            Accelerator::Tcg => libvirt.emulated_cpu()?,
        };
        let words = libvirt.words(node, accelerator, cpu, firmware, &log.to_string_lossy());
        host::run(VIRT_INSTALL, &words).map(drop)
    }
}

impl Libvirt {
    /// libvirt has looked whether it may use /dev/kvm. Whether that runs a machine, nobody has tried.
    fn accelerator(&self, wanted: Accel) -> Result<Accelerator, DriverError> {
        if wanted == Accel::Tcg {
            return Ok(Accelerator::Tcg);
        }
        match (self.virsh(&["domcapabilities", "--virttype", "kvm"]), wanted) {
            (Ok(_), _) => Ok(Accelerator::Kvm),
            (Err(DriverError::Program { said, .. }), Accel::Kvm) => Err(DriverError::NoKvm(said)),
            (Err(DriverError::Program { .. }), _) => Ok(Accelerator::Tcg),
            (Err(error), _) => Err(error),
        }
    }
}
