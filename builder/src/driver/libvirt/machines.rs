//! libvirt's machines: which run, how they end, and what is left of them.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::driver::error::DriverError;
use crate::driver::libvirt::client::Libvirt;
use crate::driver::libvirt::pool;
use crate::driver::machines::Machines;
use crate::driver::names;
use crate::results::cluster::NodeJson;

impl Machines for Libvirt {
    fn running(&self) -> Result<BTreeSet<String>, DriverError> {
        if self.nodes.is_empty() {
            return Ok(BTreeSet::new());
        }
        let domains = self.names(&["list", "--name"])?;
        Ok(self.nodes.iter().filter(|node| domains.contains(&self.domain(node))).cloned().collect())
    }

    fn network_is_up(&self) -> Result<bool, DriverError> {
        Ok(!self.nodes.is_empty() && self.names(&["net-list", "--name"])?.contains(&self.prefix))
    }

    fn address(&self, node: &NodeJson, port: u16) -> Result<Option<SocketAddrV4>, DriverError> {
        // This machine has an address in their network.
        let ip = node.ip.filter(|_| self.nodes.contains(&node.name));
        Ok(ip.map(|ip| SocketAddrV4::new(ip, port)))
    }

    fn has_console(&self) -> bool {
        true
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn press_power_buttons(&self, nodes: &[String]) {
        for node in nodes {
            let _ = self.virsh(&["shutdown", &self.domain(node), "--mode", "acpi"]);
        }
    }

    fn end(&self, node: &str) -> Result<(), DriverError> {
        let ended = self.virsh(&["destroy", &self.domain(node)]);
        // It may have ended by itself meanwhile.
        if self.running()?.contains(node) { ended.map(drop) } else { Ok(()) }
    }

    fn delete(&self, node: &str, keep_data: bool) -> Result<(), DriverError> {
        self.undefine(node, "--nvram")?;
        self.delete_volumes(|volume| {
            pool::is_of(volume, node) || !keep_data && volume == names::data_disk(node)
        })
    }

    fn close(&self, delete: bool) -> Result<(), DriverError> {
        if delete {
            self.delete_pool()?;
        }
        self.end_network(delete)
    }
}
