//! The machines' network in libvirt: isolated, with this machine's own address in it and nothing else, neither DHCP nor
//! DNS nor a way out. <https://libvirt.org/formatnetwork.html>

use std::net::Ipv4Addr;

use fs_err as fs;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::libvirt::client::Libvirt;
use crate::results::cluster::ClusterJson;

/// The folder below `run` of what libvirt reads; the underscore keeps it apart from every host name.
pub(super) const FOLDER: &str = "_libvirt";

impl Libvirt {
    /// Starts it when it is not up, after defining it anew: the cluster may have changed.
    pub(super) fn ensure_network(&self, folders: &Folders, definition: &str) -> Result<(), DriverError> {
        if self.names(&["net-list", "--name"])?.contains(&self.prefix) {
            return Ok(());
        }
        self.end_network(true)?;
        let folder = folders.run.join(FOLDER);
        crate::ground::durable::private_folder(&folder)?;
        let file = folder.join("network.xml");
        fs::write(&file, definition)?;
        self.virsh(&["net-define", &file.to_string_lossy()])?;
        self.virsh(&["net-start", &self.prefix])?;
        Ok(())
    }

    /// Ends it; with `delete`, libvirt also forgets it.
    pub(super) fn end_network(&self, delete: bool) -> Result<(), DriverError> {
        if self.names(&["net-list", "--name"])?.contains(&self.prefix) {
            self.virsh(&["net-destroy", &self.prefix])?;
        }
        if delete && self.names(&["net-list", "--all", "--name"])?.contains(&self.prefix) {
            self.virsh(&["net-undefine", &self.prefix])?;
        }
        Ok(())
    }
}

/// The network's definition.
pub(super) fn definition(cluster: &ClusterJson, name: &str) -> String {
    let (host, mask) = (host(cluster), cluster.network.cidr.unwrap_or_default().netmask());
    format!(
        "<network>\n  <name>{name}</name>\n  <dns enable='no'/>\n  <ip address='{host}' netmask='{mask}'/>\n</network>\n"
    )
}

/// This machine's address: the gateway's, else the last one that no node has.
fn host(cluster: &ClusterJson) -> Ipv4Addr {
    let is_free = |address: &Ipv4Addr| cluster.nodes.iter().all(|node| node.ip != Some(*address));
    let last = || cluster.network.cidr?.hosts().rfind(is_free);
    cluster.network.gateway.or_else(last).unwrap_or(Ipv4Addr::UNSPECIFIED)
}

#[cfg(test)]
mod tests {
    use super::definition;
    use crate::driver::tests::cluster;

    #[test]
    fn the_network_has_no_way_out_and_an_address_of_this_machine() {
        let mut cluster = cluster();
        insta::assert_snapshot!(definition(&cluster, "kiln-kiln"), @r"
        <network>
          <name>kiln-kiln</name>
          <dns enable='no'/>
          <ip address='192.168.122.1' netmask='255.255.255.0'/>
        </network>
        ");
        cluster.network.gateway = None;
        cluster.nodes[0].ip = Some([192, 168, 122, 254].into());
        assert!(definition(&cluster, "kiln-kiln").contains("<ip address='192.168.122.253'"));
    }
}
