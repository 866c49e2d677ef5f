//! QEMU's machines: processes of this user.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::machines::Machines;
use crate::driver::qemu::{accel, network, rescue};
use crate::driver::serial;
use crate::driver::state::{Forwards, NetworkState, NodeState, State};
use crate::results::cluster::NodeJson;

/// Machines that are processes of this user.
pub(super) struct Processes<'a> {
    folders: &'a Folders,
    ports: BTreeMap<String, Forwards>,
    nodes: BTreeMap<String, NodeState>,
    network: Option<NetworkState>,
}

impl<'a> Processes<'a> {
    pub(super) fn of(folders: &'a Folders, state: &State) -> Self {
        Self {
            folders,
            ports: state.ports.clone(),
            nodes: state.nodes.clone(),
            network: state.network.clone(),
        }
    }
}

impl Machines for Processes<'_> {
    fn running(&self) -> Result<BTreeSet<String>, DriverError> {
        let mut running = BTreeSet::new();
        for name in self.nodes.keys() {
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
        self.folders.process(node).end(self.nodes.get(node).and_then(|node| node.pid))
    }

    fn tidy(&self, node: &str) -> Result<(), DriverError> {
        Ok(self.folders.process(node).remove_sockets()?)
    }

    fn trouble(&self, node: &str) -> Result<Option<String>, DriverError> {
        let process = self.folders.process(node);
        let is_broken = self.nodes.get(node).is_some_and(|known| rescue::is_broken(&process, known));
        Ok(if is_broken { Some(process.kvm_error()?) } else { None })
    }

    fn forwards(&self) -> bool {
        true
    }

    fn delete(&self, _node: &str, _keep_data: bool) -> Result<(), DriverError> {
        // All it has is in its folder.
        Ok(())
    }

    fn close(&self, _delete: bool) -> Result<(), DriverError> {
        accel::clean(self.folders)?;
        network::end(self.folders, self.network.as_ref())
    }
}
