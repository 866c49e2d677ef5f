//! QEMU's command lines: pure functions from a node, or a whole cluster, to arguments. The options are those of QEMU
//! 10 ("Invocation" in QEMU's documentation); it starts nothing.

use std::collections::BTreeMap;

use super::state::Forwards;
use super::{Accelerator, Firmware};
use crate::report::cluster::{ClusterJson, NodeJson};

/// The emulator.
pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// Where a machine's files are, as QEMU sees them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The folder of results, `<out>/<profile>`.
    pub(super) results: String,
    /// The folder of everything that runs; the node's own is below it.
    pub(super) run: String,
}

impl Places {
    /// The socket through which a node reaches the switch.
    fn port(&self, node: &str) -> String {
        format!("{}/{SWITCH}/{node}.sock", self.run)
    }
}

/// The switch's folder below `run`; the underscore keeps it apart from every host name.
pub(super) const SWITCH: &str = "_switch";

/// Options that `builder up` gives to every QEMU: no default devices, no screen, and a control socket.
pub(super) fn controlled(folder: &str) -> Vec<String> {
    let socket = format!("unix:{folder}/{QMP_SOCKET},server=on,wait=off");
    ["-no-user-config", "-display", "none", "-monitor", "none", "-qmp", &socket].map(str::to_owned).to_vec()
}

/// The control socket's name in a machine's folder.
pub(super) const QMP_SOCKET: &str = "qmp.sock";

/// The switch: a QEMU without a machine, whose hub joins the host's side (the gateway, and the forwarded ports) and
/// one socket for each node. `restrict=on`: nothing leaves.
pub(super) fn switch(
    cluster: &ClusterJson,
    ports: &BTreeMap<String, Forwards>,
    places: &Places,
) -> Vec<String> {
    let mut user = format!("user,id=host,ipv6=off,restrict=on,net={}", cluster.network.cidr.trunc());
    if let Some(gateway) = cluster.network.gateway {
        user += &format!(",host={gateway}");
    }
    for node in &cluster.nodes {
        for (guest, host) in ports.get(&node.name).into_iter().flatten() {
            user += &format!(",hostfwd=tcp:127.0.0.1:{host}-{}:{guest}", node.ip);
        }
    }
    let mut argv = vec![PROGRAM, "-name", "kiln-switch", "-machine", "none", "-nodefaults"];
    let hub = "hubport,id=hub-host,hubid=0,netdev=host";
    argv.extend(["-netdev", &user, "-netdev", hub]);
    let mut argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
    for (index, node) in cluster.nodes.iter().enumerate() {
        // Identifiers by number: a node may have any name.
        let path = places.port(&node.name);
        argv.extend([
            "-netdev".to_owned(),
            format!("stream,id=node{index},server=on,addr.type=unix,addr.path={path}"),
            "-netdev".to_owned(),
            format!("hubport,id=hub-node{index},hubid=0,netdev=node{index}"),
        ]);
    }
    argv
}

/// A node's machine: virtio disk, network card and random numbers, the serial port to a file.
pub(super) fn machine(
    node: &NodeJson,
    accelerator: Accelerator,
    firmware: Firmware,
    places: &Places,
) -> Vec<String> {
    let folder = format!("{}/{}", places.run, node.name);
    let mut argv: Vec<String> = [PROGRAM, "-name", &node.name, "-machine", "q35", "-nodefaults"]
        .into_iter()
        .chain(processors(accelerator))
        .map(str::to_owned)
        .collect();
    let mut add = |option: &str, value: String| argv.extend([option.to_owned(), value]);
    add("-smp", node.cpus.to_string());
    add("-m", format!("{}M", node.memory_mib));
    if firmware == Firmware::Uefi {
        add("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE_CODE}"));
        add("-drive", format!("if=pflash,unit=1,format=raw,file={folder}/{FIRMWARE_VARIABLES}"));
    }
    add("-drive", format!("if=none,id=disk,format=qcow2,discard=unmap,file={folder}/{DISK}"));
    add("-device", "virtio-blk-pci,drive=disk,bootindex=0".to_owned());
    if let Some(seed) = &node.seed {
        let seed = escape(&format!("{}/{}", places.results, seed.display()));
        add("-drive", format!("if=none,id=seed,format=raw,readonly=on,file={seed}"));
        add("-device", "virtio-blk-pci,drive=seed".to_owned());
    }
    // It connects again when the switch comes back.
    let port = places.port(&node.name);
    add("-netdev", format!("stream,id=net,server=off,reconnect-ms=500,addr.type=unix,addr.path={port}"));
    // Without the boot ROM: it never boots from the network.
    add("-device", format!("virtio-net-pci,netdev=net,mac={},romfile=", node.mac));
    add("-device", "virtio-rng-pci".to_owned());
    add("-serial", format!("file:{folder}/{}", super::serial::LOG));
    argv
}

/// The node's disk in its folder.
pub(super) const DISK: &str = "disk.qcow2";

/// UEFI's settings in the node's folder.
pub(super) const FIRMWARE_VARIABLES: &str = "efivars.fd";

/// Debian's place of the UEFI firmware (package ovmf).
const FIRMWARE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";

/// Empty settings for it, relative to the root.
pub(super) const FIRMWARE_TEMPLATE: &str = "usr/share/OVMF/OVMF_VARS_4M.fd";

/// How the processors run. QEMU 10 emulates several in parallel, faithfully.
pub(super) fn processors(accelerator: Accelerator) -> [&'static str; 4] {
    match accelerator {
        Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
        Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
    }
}

/// A comma in a path is doubled inside an option.
fn escape(path: &str) -> String {
    path.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::{Places, machine, switch};
    use crate::driver::tests::cluster;
    use crate::driver::{Accelerator, Firmware};

    fn places() -> Places {
        Places { results: "/kiln/cluster".to_owned(), run: "/kiln/cluster/run".to_owned() }
    }

    fn lines(argv: &[String]) -> String {
        argv.join(" ").replace(" -", "\n-")
    }

    #[test]
    fn a_machine_under_emulation() {
        let cluster = cluster();
        let argv = machine(&cluster.nodes[0], Accelerator::Tcg, Firmware::Bios, &places());
        insta::assert_snapshot!(lines(&argv));
    }

    #[test]
    fn a_machine_with_a_seed_under_uefi_and_kvm() {
        let mut node = cluster().nodes.remove(1);
        node.seed = Some(PathBuf::from("seeds/a,b.iso"));
        let argv = machine(&node, Accelerator::Kvm, Firmware::Uefi, &places());
        insta::assert_snapshot!(lines(&argv));
    }

    #[test]
    fn the_switch_joins_all_nodes_and_forwards_their_ports() {
        let ports = BTreeMap::from([
            ("server".to_owned(), BTreeMap::from([(22, 10022), (6443, 16443)])),
            ("node-0".to_owned(), BTreeMap::from([(22, 10023)])),
        ]);
        insta::assert_snapshot!(lines(&switch(&cluster(), &ports, &places())));
    }

    #[test]
    fn the_longest_host_name_still_fits_a_socket_path() {
        let longest = "n".repeat(63);
        // sockaddr_un holds 107 bytes and a zero.
        assert!(places().port(&longest).len() <= 107);
        assert!(format!("/kiln/cluster/run/{longest}/{}", super::QMP_SOCKET).len() <= 107);
    }
}
