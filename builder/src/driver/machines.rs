//! What the drivers have in common: a driver starts the machines of a cluster, and knows them by the names of their nodes afterwards,
//! whatever runs them. A driver is a folder; which there are is [`registry`](super::registry)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::disk::Format;
use crate::driver::boot::{Seen, Stage};
use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::hardware::Firmware;
use crate::driver::poll::Stopwatch;
use crate::driver::request::UpRequest;
use crate::driver::serial::Console;
use crate::driver::state::State;
use crate::ground::arch::Arch;
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, ImageJson, NodeJson};

/// What runs machines.
pub trait Driver: std::fmt::Debug + Sync {
    /// As on the command line.
    fn name(&self) -> &'static str;

    /// Another name of it there.
    fn alias(&self) -> Option<&'static str> {
        None
    }

    /// Whether it runs the lock's QEMU: [`UpRequest::root`] is for it.
    fn takes_root(&self) -> bool {
        false
    }

    /// Refuses what it cannot do, before anything starts.
    ///
    /// # Errors
    /// [`DriverError`] with what to do instead.
    fn check(&self, request: &UpRequest<'_>, cluster: &ClusterJson) -> Result<(), DriverError>;

    /// Refuses a cluster whose machines it cannot call by their names.
    ///
    /// # Errors
    /// [`DriverError::Cannot`] with the name.
    fn check_names(&self, _cluster: &ClusterJson) -> Result<(), DriverError> {
        Ok(())
    }

    /// Starts the machines of `nodes` that do not run. The state is written before each start.
    ///
    /// # Errors
    /// [`DriverError`]; what was started until then keeps running.
    fn start(
        &self,
        launch: &Launch<'_>,
        nodes: &[&NodeJson],
        state: &mut State,
    ) -> Result<Started, DriverError>;

    /// Starts machines again that broke since. Returns their names.
    ///
    /// # Errors
    /// [`DriverError`] when one cannot be helped.
    fn revive(&self, _launch: &Launch<'_>) -> Result<BTreeSet<String>, DriverError> {
        Ok(BTreeSet::new())
    }

    /// The machines that were started.
    fn machines<'a>(&self, folders: &'a Folders, state: &State) -> Box<dyn Machines + 'a>;

    /// A shell script that runs every node of a cluster without Kiln, in the folder of results.
    fn script(&self, cluster: &ClusterJson) -> String;
}

/// What is started: what was asked for, and of which cluster.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// What was asked for.
    pub(super) request: &'a UpRequest<'a>,
    /// The cluster.
    pub(super) cluster: &'a ClusterJson,
    /// Its folders.
    pub(super) folders: &'a Folders,
    /// What the machines boot with.
    pub(super) firmware: Firmware,
    /// What people see of it.
    pub(super) progress: &'a Progress,
}

/// The machines that were not running before, and since when they do.
pub type Started = BTreeMap<String, Stopwatch>;

/// Refuses images that machines here cannot run from: they lie below the machines' disks as qcow2.
///
/// # Errors
/// [`DriverError::Format`].
pub(super) fn refuse_format(cluster: &ClusterJson) -> Result<(), DriverError> {
    match cluster.images.iter().find(|image| image.format != Format::Qcow2) {
        Some(image) => Err(DriverError::Format { image: image.path.clone(), format: image.format }),
        None => Ok(()),
    }
}

/// Only the lock's QEMU runs machines of another architecture than this machine's.
pub(super) fn refuse_foreign(cluster: &ClusterJson, driver: &'static str) -> Result<(), DriverError> {
    if cluster.arch == Arch::HOST {
        return Ok(());
    }
    Err(DriverError::Arch { cluster: cluster.name.clone(), arch: cluster.arch, driver })
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

/// Refuses what only the lock's QEMU does.
pub(super) fn refuse_what_is_for_qemu(
    request: &UpRequest<'_>,
    driver: &'static str,
) -> Result<(), DriverError> {
    let refuse = |what: &str, leave_out: &str| {
        let hint = format!("leave out {leave_out}");
        Err(DriverError::Cannot { program: driver, what: what.to_owned(), hint })
    };
    if request.capture {
        return refuse("keep what reaches the gateway", "`--capture`");
    }
    if !request.options.is_empty() {
        return refuse("take options of QEMU", "what stands behind `--`");
    }
    Ok(())
}

/// Bytes of a node's disk over an image of that size.
pub(super) fn disk_size(node: &NodeJson, image: u64) -> Result<u64, DriverError> {
    let image_mib = image.div_ceil(1 << 20);
    match node.disk_mib {
        None => Ok(image),
        Some(disk_mib) if disk_mib >= image_mib => Ok(disk_mib << 20),
        Some(disk_mib) => Err(DriverError::DiskTooSmall { node: node.name.clone(), disk_mib, image_mib }),
    }
}

/// The machines of a cluster that was started.
pub trait Machines {
    /// The nodes whose machines run.
    fn running(&self) -> Result<BTreeSet<String>, DriverError>;

    /// Whether the network between them is up.
    fn network_is_up(&self) -> Result<bool, DriverError>;

    /// Where a port of a node is reached from this machine; none while nothing leads there.
    fn address(&self, node: &NodeJson, port: u16) -> Result<Option<SocketAddrV4>, DriverError>;

    /// Whether a machine's console is kept in its folder.
    fn has_console(&self) -> bool;

    /// How long to wait before [`Machines::running`] is asked again.
    fn pause(&self) -> Duration;

    /// Presses the power buttons of machines that run. That one does not answer is no error: the caller waits for its
    /// end anyway.
    fn press_power_buttons(&self, nodes: &[String]);

    /// Ends a machine at once.
    fn end(&self, node: &str) -> Result<(), DriverError>;

    /// Removes what a stopped machine has no use for.
    fn tidy(&self, _node: &str) -> Result<(), DriverError> {
        Ok(())
    }

    /// What is wrong with a machine that runs, as its driver sees it.
    fn trouble(&self, _node: &str) -> Result<Option<String>, DriverError> {
        Ok(None)
    }

    /// Whether the machines' ports are reached at ports of 127.0.0.1.
    fn forwards(&self) -> bool {
        false
    }

    /// Gives up what a stopped machine has outside of its folder; `keep_data`, but for its data disk.
    fn delete(&self, node: &str, keep_data: bool) -> Result<(), DriverError>;

    /// Ends the network, when no machine runs any more. With `delete`, gives up all that is left outside of the
    /// cluster's folder.
    fn close(&self, delete: bool) -> Result<(), DriverError>;
}

/// What a machine shows. One without a console is taken to have booted when it runs: multipass says so only then.
pub(super) fn look(
    machines: &dyn Machines,
    console: &mut Console,
    running: bool,
) -> Result<Seen, DriverError> {
    match (machines.has_console(), running) {
        (true, _) => Ok(console.look()?),
        (false, true) => Ok(Seen { stage: Stage::Login, trouble: None }),
        (false, false) => Ok(Seen { stage: Stage::Silent, trouble: None }),
    }
}
