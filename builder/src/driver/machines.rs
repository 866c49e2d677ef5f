//! What the drivers have in common: machines by the names of their nodes, whatever runs them. And the first of them:
//! QEMU from the lock, by its processes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::driver::error::DriverError;
use crate::driver::libvirt::Libvirt;
use crate::driver::multipass::Multipass;
use crate::driver::state::{Forwards, NetworkState, State};
use crate::driver::{Driver, Folders, network, serial};
use crate::results::cluster::NodeJson;

/// The machines of a cluster that was started.
pub(super) trait Machines {
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

    /// Gives up what a stopped machine has outside of its folder; `keep_data`, but for its data disk.
    fn delete(&self, node: &str, keep_data: bool) -> Result<(), DriverError>;

    /// Ends the network, when no machine runs any more. With `delete`, gives up all that is left outside of the
    /// cluster's folder.
    fn close(&self, delete: bool) -> Result<(), DriverError>;
}

/// The machines of a folder.
pub(super) fn of<'a>(folders: &'a Folders, state: &State) -> Box<dyn Machines + 'a> {
    match state.driver {
        Driver::Qemu => Box::new(Qemu {
            folders,
            ports: state.ports.clone(),
            pids: state.nodes.iter().map(|(name, node)| (name.clone(), node.pid)).collect(),
            network: state.network.clone(),
        }),
        Driver::Libvirt => Box::new(Libvirt::of(state)),
        Driver::Multipass => Box::new(Multipass::of(state)),
    }
}

/// Machines that are processes of this user.
struct Qemu<'a> {
    folders: &'a Folders,
    ports: BTreeMap<String, Forwards>,
    pids: BTreeMap<String, Option<u32>>,
    network: Option<NetworkState>,
}

impl Machines for Qemu<'_> {
    fn running(&self) -> Result<BTreeSet<String>, DriverError> {
        let mut running = BTreeSet::new();
        for name in self.pids.keys() {
            if self.folders.process(name).is_running()? {
                running.insert(name.clone());
            }
        }
        Ok(running)
    }

    fn network_is_up(&self) -> Result<bool, DriverError> {
        Ok(self.folders.switch().is_running()? && self.folders.gateway().is_running()?)
    }

    fn address(&self, node: &NodeJson, port: u16) -> Result<Option<SocketAddrV4>, DriverError> {
        let place = match node.ip {
            Some(_) => Some(node.name.clone()),
            None => serial::own_address(&self.folders.node(&node.name))?.map(|ip| ip.to_string()),
        };
        let host = place.and_then(|place| self.ports.get(&place)).and_then(|ports| ports.get(&port));
        Ok(host.map(|host| SocketAddrV4::new(Ipv4Addr::LOCALHOST, *host)))
    }

    fn has_console(&self) -> bool {
        true
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn press_power_buttons(&self, nodes: &[String]) {
        nodes.iter().for_each(|name| self.folders.process(name).press_power_button());
    }

    fn end(&self, node: &str) -> Result<(), DriverError> {
        self.folders.process(node).end(self.pids.get(node).copied().flatten())
    }

    fn delete(&self, _node: &str, _keep_data: bool) -> Result<(), DriverError> {
        // All it has is in its folder.
        Ok(())
    }

    fn close(&self, _delete: bool) -> Result<(), DriverError> {
        network::end(self.folders, self.network.as_ref())
    }
}
