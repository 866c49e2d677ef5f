//! QEMU's command lines: pure functions from a node to arguments. The options are those of QEMU
//! 10 ("Invocation" in QEMU's documentation); it starts nothing.

use crate::driver::hardware::{Accelerator, Firmware};
use crate::driver::names::{DATA_DISK, DATA_SERIAL};
use crate::driver::qemu::places::{DISK, FIRMWARE_VARIABLES, Places};
use crate::driver::serial;
use crate::ground::arch::Arch;
use crate::results::cluster::NodeJson;

/// What differs between the architectures of machines.
pub(super) struct Board {
    /// The emulator.
    pub(super) program: &'static str,
    /// The machine, without the controllers that nothing hangs on: for each, the kernel would load drivers and probe.
    machine: &'static str,
    /// The emulated processor.
    processor: &'static str,
    /// Debian's place of the UEFI firmware.
    firmware_code: &'static str,
    /// Empty settings for it, relative to the root.
    pub(super) firmware_template: &'static str,
}

/// Package ovmf. A fifth level of page tables costs an emulated processor time at every miss, and serves terabytes;
/// nested virtualisation makes the kernel load KVM. Where `rep movsb` is called fast, the kernel copies and clears with it, and an
/// emulator does that byte by byte: without it a boot took 13 % less of the processor, and programs a quarter less.
const AMD64: Board = Board {
    program: "qemu-system-x86_64",
    machine: "q35,sata=off,smbus=off,i8042=off",
    processor: "max,la57=off,svm=off,erms=off,fsrm=off",
    firmware_code: "/usr/share/OVMF/OVMF_CODE_4M.fd",
    firmware_template: "usr/share/OVMF/OVMF_VARS_4M.fd",
};

/// Package qemu-efi-aarch64. A server's processor without pointer authentication and scalable vectors, which cost an
/// emulated one time at every call and every change of the thread.
const ARM64: Board = Board {
    program: "qemu-system-aarch64",
    machine: "virt",
    processor: "neoverse-n1",
    firmware_code: "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
    firmware_template: "usr/share/AAVMF/AAVMF_VARS.fd",
};

impl Board {
    pub(super) fn of(arch: Arch) -> &'static Self {
        match arch {
            Arch::Amd64 => &AMD64,
            Arch::Arm64 => &ARM64,
        }
    }

    /// How its processors run. QEMU 10 emulates several in parallel, faithfully.
    pub(super) fn processors(&self, accelerator: Accelerator) -> [&'static str; 4] {
        match accelerator {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", self.processor],
        }
    }
}

/// A node's machine: virtio disk, network card and random numbers, the serial port to a file.
pub(super) fn machine(
    arch: Arch,
    node: &NodeJson,
    accelerator: Accelerator,
    firmware: Firmware,
    places: &Places,
) -> Vec<String> {
    let folder = format!("{}/{}", places.run, node.name);
    let board = Board::of(arch);
    let mut argv: Vec<String> =
        [board.program, "-name", &node.name, "-machine", board.machine, "-nodefaults"]
            .into_iter()
            .chain(board.processors(accelerator))
            .map(str::to_owned)
            .collect();
    let mut add = |option: &str, value: String| argv.extend([option.to_owned(), value]);
    add("-smp", node.cpus.to_string());
    add("-m", format!("{}M", node.memory_mib));
    if firmware == Firmware::Uefi {
        add("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={}", board.firmware_code));
        add("-drive", format!("if=pflash,unit=1,format=raw,file={folder}/{FIRMWARE_VARIABLES}"));
    }
    add("-drive", format!("if=none,id=disk,format=qcow2,discard=unmap,file={folder}/{DISK}"));
    add("-device", "virtio-blk-pci,drive=disk,bootindex=0".to_owned());
    if node.data_disk_mib.is_some() {
        add("-drive", format!("if=none,id=data,format=qcow2,discard=unmap,file={folder}/{DATA_DISK}"));
        add("-device", format!("virtio-blk-pci,drive=data,serial={DATA_SERIAL}"));
    }
    if let Some(seed) = &node.seed {
        let seed = escape(&format!("{}/{}", places.results, seed.display()));
        add("-drive", format!("if=none,id=seed,format=raw,readonly=on,file={seed}"));
        add("-device", "virtio-blk-pci,drive=seed".to_owned());
    }
    add("-netdev", format!("vde,id=net,sock={}", places.switch()));
    // Without the boot ROM: it never boots from the network.
    add("-device", format!("virtio-net-pci,netdev=net,mac={},romfile=", node.mac));
    add("-device", "virtio-rng-pci".to_owned());
    add("-serial", format!("file:{folder}/{}", serial::LOG));
    argv
}

/// A machine of this host's architecture that starts a kernel alone under KVM, with its console in `folder`.
pub(super) fn kernel(kernel: &str, folder: &str) -> Vec<String> {
    let board = Board::of(Arch::HOST);
    let serial = format!("file:{folder}/{}", serial::LOG);
    let mut argv = vec![board.program, "-machine", board.machine, "-nodefaults"];
    argv.extend(board.processors(Accelerator::Kvm));
    // Without a root file system it panics, which ends the machine.
    argv.extend(["-m", "256M", "-kernel", kernel, "-append", "console=ttyS0 panic=-1", "-no-reboot"]);
    argv.extend(["-serial", &serial]);
    argv.into_iter().map(str::to_owned).collect()
}

/// A comma in a path is doubled inside an option.
fn escape(path: &str) -> String {
    path.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::machine;
    use crate::driver::hardware::{Accelerator, Firmware};
    use crate::driver::qemu::places::places;
    use crate::driver::tests::{cluster, lines};
    use crate::ground::arch::Arch;

    #[test]
    fn a_machine_under_emulation() {
        let cluster = cluster();
        let argv = machine(Arch::Amd64, &cluster.nodes[0], Accelerator::Tcg, Firmware::Bios, &places());
        insta::assert_snapshot!(lines(&argv));
    }

    #[test]
    fn a_machine_of_another_architecture() {
        let cluster = cluster();
        let argv = machine(Arch::Arm64, &cluster.nodes[0], Accelerator::Tcg, Firmware::Uefi, &places());
        insta::assert_snapshot!(lines(&argv));
    }

    #[test]
    fn a_machine_with_a_seed_under_uefi_and_kvm() {
        let mut node = cluster().nodes.remove(1);
        node.seed = Some(PathBuf::from("seeds/a,b.iso"));
        let argv = machine(Arch::Amd64, &node, Accelerator::Kvm, Firmware::Uefi, &places());
        insta::assert_snapshot!(lines(&argv));
    }

    #[test]
    fn the_longest_host_name_still_fits_a_socket_path() {
        let longest = "n".repeat(63);
        // sockaddr_un holds 107 bytes and a zero.
        assert!(
            format!("/kiln/cluster/run/{longest}/{}", crate::driver::qemu::places::QMP_SOCKET).len() <= 107
        );
    }
}
