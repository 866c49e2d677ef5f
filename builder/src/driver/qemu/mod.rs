//! Machines that run in QEMU from the lock. Everything that it makes is below `<results>/run`: a folder for each node, one for the
//! switch that joins them and one for the gateway to the host.

mod accel;
mod disk;
mod machine;
mod machines;
mod network;
mod places;
mod ports;
mod print;
mod process;
mod qmp;
mod rescue;
mod start;
#[cfg(test)]
mod tests;
mod vde;

use std::collections::BTreeSet;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::machines::{Driver, Launch, Machines, Started};
use crate::driver::request::UpRequest;
use crate::driver::state::State;
use crate::results::cluster::{ClusterJson, NodeJson};
pub use accel::{open_kvm, try_kernel};
use start::Starter;

/// QEMU of the lockfile.
#[derive(Debug)]
pub(super) struct Qemu;

/// The driver.
pub(super) const QEMU: Qemu = Qemu;

impl Driver for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn takes_root(&self) -> bool {
        true
    }

    fn check(&self, request: &UpRequest<'_>, _cluster: &ClusterJson) -> Result<(), DriverError> {
        start::root(request).map(drop)
    }

    fn start(
        &self,
        launch: &Launch<'_>,
        nodes: &[&NodeJson],
        state: &mut State,
    ) -> Result<Started, DriverError> {
        network::ensure(launch, start::root(launch.request)?, state)?;
        Starter::new(launch, state)?.nodes(nodes)
    }

    fn revive(&self, launch: &Launch<'_>) -> Result<BTreeSet<String>, DriverError> {
        rescue::revive(launch)
    }

    fn machines<'a>(&self, folders: &'a Folders, state: &State) -> Box<dyn Machines + 'a> {
        Box::new(machines::Processes::of(folders, state))
    }

    fn script(&self, cluster: &ClusterJson) -> String {
        print::script(cluster)
    }
}
