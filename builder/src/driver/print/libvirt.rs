//! Commands for virt-install (virt-install(1)) and virsh (`net-update`, `net-define`).

use super::{command, quote, size};
use crate::report::cluster::{ClusterJson, NodeJson};

/// Where libvirt's system instance may read images.
const POOL: &str = "/var/lib/libvirt/images";

/// libvirt's own network, as its packages define it.
const DEFAULT: (&str, &str, &str) = ("default", "192.168.122.0/24", "192.168.122.1");

pub(super) fn script(cluster: &ClusterJson) -> String {
    let (network, preparation) = network(cluster);
    let mut text = String::from("# Run this in the folder of the images, as a user who may use sudo.\n");
    text += &preparation;
    text += "\n# The images, where libvirt may read them. They hold secrets: mode 0600.\n";
    for image in &cluster.images {
        text += &format!(
            "sudo install -m 600 {} {}\n",
            quote(&image.path.display().to_string()),
            base(cluster, &image.role)
        );
    }
    for node in &cluster.nodes {
        text += &format!("\n# {} ({}), {}\n", node.name, node.role, node.address());
        text += &install(cluster, node, &network);
    }
    text
}

/// The name of the network, and what makes it fit.
fn network(cluster: &ClusterJson) -> (String, String) {
    let (name, cidr, gateway) = DEFAULT;
    let Some(own) = cluster.network.cidr else {
        return (name.to_owned(), "# libvirt's default network gives the addresses by DHCP.\n".to_owned());
    };
    let (own, own_gateway) = (own.trunc(), cluster.network.gateway);
    if own.to_string() == cidr && own_gateway.is_none_or(|address| address.to_string() == gateway) {
        let mut text = String::from(
            "# libvirt's default network fits; it must not lease the nodes' addresses to other machines.\n",
        );
        for node in &cluster.nodes {
            let host = format!("<host mac='{}' name='{}' ip='{}'/>", node.mac, node.name, node.address());
            text += &format!("sudo virsh net-update {name} add ip-dhcp-host \"{host}\" --live --config\n");
        }
        return (name.to_owned(), text);
    }
    let name = format!("kiln-{}", cluster.name);
    let mut text = format!(
        "# A network for {own}.\nsudo virsh net-define /dev/stdin <<'END'\n<network>\n  <name>{name}</name>\n"
    );
    if let Some(address) = own_gateway {
        text += "  <forward mode='nat'/>\n";
        text += &format!("  <ip address='{address}' netmask='{}'/>\n", own.netmask());
    }
    text += &format!("</network>\nEND\nsudo virsh net-start {name}\nsudo virsh net-autostart {name}\n");
    (name, text)
}

fn base(cluster: &ClusterJson, role: &str) -> String {
    format!("{POOL}/kiln-{}-{role}.qcow2", cluster.name)
}

fn install(cluster: &ClusterJson, node: &NodeJson, network: &str) -> String {
    let name = &node.name;
    let disk = format!("{POOL}/{name}.qcow2");
    let base = base(cluster, &node.role);
    let mut text = format!("sudo qemu-img create -f qcow2 -F qcow2 -b {base} {disk}{}\n", size(node));
    let mut options = vec![
        ("--connect", "qemu:///system".to_owned()),
        ("--name", name.clone()),
        ("--memory", node.memory_mib.to_string()),
        ("--vcpus", node.cpus.to_string()),
        ("--import", String::new()),
        ("--disk", format!("path={disk},format=qcow2,bus=virtio")),
    ];
    if let Some(seed) = &node.seed {
        let copy = format!("{POOL}/{name}-seed.iso");
        text += &format!("sudo install -m 600 {} {copy}\n", quote(&seed.display().to_string()));
        options.push(("--disk", format!("path={copy},device=cdrom")));
    }
    options.extend([
        ("--network", format!("network={network},mac={},model=virtio", node.mac)),
        ("--osinfo", "detect=on,require=off".to_owned()),
        ("--graphics", "none".to_owned()),
        ("--noautoconsole", String::new()),
    ]);
    text + &command(&["sudo", "virt-install"], &options)
}
