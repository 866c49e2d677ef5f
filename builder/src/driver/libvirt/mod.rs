//! Machines of this host's libvirt, by virsh(1) and virt-install(1): which run, how they end, and what is left of them.
//! How they start is [`start`]'s.
//!
//! Everything is named after the cluster: a network and a storage pool `kiln-CLUSTER`, and for each node a domain
//! `kiln-CLUSTER-NODE` with its disk in the pool.

mod domain;
mod network;
mod pool;
mod start;

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::driver::error::DriverError;
use crate::driver::host;
use crate::driver::host::Program;
use crate::driver::machines::Machines;
use crate::driver::names;
use crate::driver::state::State;
use crate::results::cluster::NodeJson;
pub(super) use start::start;

const VIRSH: Program = Program { name: "virsh", hint: "install it: Debian's package is libvirt-clients" };

/// Where libvirt is when LIBVIRT_DEFAULT_URI does not say it.
const SYSTEM: &str = "qemu:///system";

/// A cluster's part of libvirt.
#[derive(Debug, Clone)]
pub(super) struct Libvirt {
    uri: String,
    /// Name of network and pool, and beginning of the domains'.
    prefix: String,
    /// The machines that were ever started.
    nodes: Vec<String>,
}

impl Libvirt {
    pub(super) fn of(state: &State) -> Self {
        Self {
            uri: state.libvirt.as_ref().map_or_else(default_uri, |libvirt| libvirt.uri.clone()),
            prefix: state.prefix.clone(),
            nodes: state.nodes.keys().cloned().collect(),
        }
    }

    fn domain(&self, node: &str) -> String {
        names::machine(&self.prefix, node)
    }

    /// Runs virsh and returns what it printed.
    fn virsh(&self, argv: &[&str]) -> Result<String, DriverError> {
        let mut words = vec!["--connect", &self.uri, "--quiet"];
        words.extend(argv);
        host::run(VIRSH, &words.into_iter().map(str::to_owned).collect::<Vec<_>>())
    }

    /// The first word of each line that virsh prints.
    fn names(&self, argv: &[&str]) -> Result<BTreeSet<String>, DriverError> {
        let text = self.virsh(argv)?;
        Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Whether the user's own libvirt is meant, which has no place of its own for disks.
    fn is_session(&self) -> bool {
        self.uri.ends_with("/session")
    }
}

/// What mends what virsh complains of.
pub(super) fn advice(said: &str) -> Option<String> {
    let says = |words: &str| said.to_lowercase().contains(words);
    if says("network is already in use by interface") {
        return Some(
            "another network has these addresses, perhaps libvirt's own: `virsh --connect qemu:///system net-destroy default` \
             stops that one until it is started again; or give the profile another `network.cidr`"
                .to_owned(),
        );
    }
    if says("failed to connect socket") || says("authentication") || says("permission denied") {
        return Some(
            "see that libvirtd runs and that you are in the group `libvirt`; LIBVIRT_DEFAULT_URI names another libvirt"
                .to_owned(),
        );
    }
    None
}

fn default_uri() -> String {
    let said = std::env::var("LIBVIRT_DEFAULT_URI").ok();
    said.filter(|uri| !uri.is_empty()).unwrap_or_else(|| SYSTEM.to_owned())
}

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
