//! Commands for virt-install (virt-install(1)) and virsh (`net-update`, `net-define`).

use crate::driver::names::{self, DATA_SERIAL};
use crate::driver::shell::{command, size};
use crate::ground::call::quote;
use crate::results::cluster::{ClusterJson, NodeJson};

/// Where libvirt's system instance may read images.
const POOL: &str = "/var/lib/libvirt/images";

/// libvirt's own network, as its packages define it.
const DEFAULT: (&str, &str, &str) = ("default", "192.168.122.0/24", "192.168.122.1");

pub(super) fn script(cluster: &ClusterJson) -> String {
    let pool = format!("{POOL}/{}", names::prefix(&cluster.name));
    let disks: Vec<String> =
        cluster.nodes.iter().map(|node| format!("{pool}/{}", names::disk(&node.name))).collect();
    let (network, preparation) = network(cluster);
    let mut text = format!(
        "# Run this in the folder of the images, as a user who may use sudo. It ends at the first failure.\n\
         (\nset -eu\n\n\
         # No disk is written over: it may hold what is nowhere else.\n\
         for disk in {}; do\n  \
           if sudo test -e $disk; then\n    \
             echo \"$disk is there already: start its machine with virsh, or remove both\" >&2\n    exit 1\n  \
           fi\ndone\n\n",
        disks.join(" ")
    );
    text += &preparation;
    text += &format!(
        "\n# The images, where libvirt may read them. They hold secrets: mode 0600.\nsudo mkdir -p -m 711 {pool}\n"
    );
    for image in &cluster.images {
        let base = format!("{pool}/{}", names::image(&image.role, &image.sha256));
        let path = quote(&image.path.display().to_string());
        // Whole or not at all: the next run believes what is there.
        text += &format!(
            "sudo test -e {base} || {{ sudo install -m 600 {path} {base}.new; sudo mv {base}.new {base}; }}\n"
        );
    }
    for node in &cluster.nodes {
        text += &format!("\n# {} ({}), {}\n", node.name, node.role, node.address());
        text += &install(cluster, node, &pool, &network);
    }
    text + ")\n"
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
    let name = names::prefix(&cluster.name);
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

fn install(cluster: &ClusterJson, node: &NodeJson, pool: &str, network: &str) -> String {
    let disk = format!("{pool}/{}", names::disk(&node.name));
    let base =
        cluster.image_of(node).map(|image| names::image(&image.role, &image.sha256)).unwrap_or_default();
    let mut text = format!("sudo qemu-img create -q -f qcow2 -F qcow2 -b {base} {disk}{}\n", size(node));
    let mut options = vec![
        ("--connect", "qemu:///system".to_owned()),
        ("--name", names::machine(&names::prefix(&cluster.name), &node.name)),
        ("--memory", node.memory_mib.to_string()),
        ("--vcpus", node.cpus.to_string()),
        ("--import", String::new()),
        ("--disk", format!("path={disk},format=qcow2,bus=virtio")),
    ];
    if let Some(mib) = node.data_disk_mib {
        let data = format!("{pool}/{}", names::data_disk(&node.name));
        text += &format!("sudo test -e {data} || sudo qemu-img create -q -f qcow2 {data} {mib}M\n");
        options.push(("--disk", format!("path={data},format=qcow2,bus=virtio,serial={DATA_SERIAL}")));
    }
    if let Some(seed) = &node.seed {
        let copy = format!("{pool}/{}", names::seed(&node.name));
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
