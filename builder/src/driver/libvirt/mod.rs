//! Machines of this host's libvirt, by virsh(1) and virt-install(1).
//!
//! Everything is named after the cluster: a network and a storage pool `kiln-CLUSTER`, and for each node a domain
//! `kiln-CLUSTER-NODE` with its disk in the pool.

mod client;
mod domain;
mod machines;
mod network;
mod pool;
mod print;
mod start;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::machines::{Driver, Launch, Machines, Started, refuse_foreign, refuse_what_is_for_qemu};
use crate::driver::request::UpRequest;
use crate::driver::state::State;
use crate::results::cluster::{ClusterJson, NodeJson};
use client::Libvirt;

/// libvirt of this machine.
#[derive(Debug)]
pub(super) struct Driven;

/// The driver.
pub(super) const LIBVIRT: Driven = Driven;

impl Driver for Driven {
    fn name(&self) -> &'static str {
        "libvirt"
    }

    fn alias(&self) -> Option<&'static str> {
        Some("virt-install")
    }

    fn check(&self, request: &UpRequest<'_>, cluster: &ClusterJson) -> Result<(), DriverError> {
        refuse_foreign(cluster, self.name())?;
        // Its network is one of fixed addresses.
        if cluster.network.cidr.is_none() {
            return Err(DriverError::Dhcp(cluster.name.clone()));
        }
        refuse_what_is_for_qemu(request, self.name())
    }

    fn start(
        &self,
        launch: &Launch<'_>,
        nodes: &[&NodeJson],
        state: &mut State,
    ) -> Result<Started, DriverError> {
        start::start(launch, nodes, state)
    }

    fn machines<'a>(&self, _folders: &'a Folders, state: &State) -> Box<dyn Machines + 'a> {
        Box::new(Libvirt::of(state))
    }

    fn script(&self, cluster: &ClusterJson) -> String {
        print::script(cluster)
    }
}
