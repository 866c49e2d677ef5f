//! A node's domain: the words for virt-install, and its end. <https://libvirt.org/formatdomain.html>

use crate::driver::error::DriverError;
use crate::driver::hardware::{Accelerator, Firmware};
use crate::driver::host::Program;
use crate::driver::libvirt::client::{Libvirt, advice};
use crate::driver::names::{self, DATA_SERIAL};
use crate::results::cluster::NodeJson;

pub(super) const VIRT_INSTALL: Program =
    Program { name: "virt-install", hint: "install it: Debian's package is virtinst", advice };

/// What QEMU can emulate, but for a fifth level of page tables: that costs time at every miss, and serves terabytes.
const MAXIMUM: &str = "mode=maximum,disable=la57";

/// UEFI of the host's that starts what nobody signed: some hosts' first firmware has Microsoft's keys
/// (<https://libvirt.org/kbase/secureboot.html>).
const UEFI: &str = "firmware=efi,firmware.feature0.name=enrolled-keys,firmware.feature0.enabled=no";

impl Libvirt {
    /// What defines and starts a node's machine; its console goes to the file `log`.
    pub(super) fn words(
        &self,
        node: &NodeJson,
        accelerator: Accelerator,
        cpu: &str,
        firmware: Firmware,
        log: &str,
    ) -> Vec<String> {
        let pool = &self.prefix;
        let disk = format!("vol={pool}/{},bus=virtio,discard=unmap", names::disk(&node.name));
        let network = format!("network={pool},model=virtio,mac={}", node.mac);
        let virt_type = match accelerator {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "qemu",
        };
        let (name, memory, cpus) =
            (self.domain(&node.name), node.memory_mib.to_string(), node.cpus.to_string());
        let (serial, seed) =
            (format!("file,path={log}"), format!("vol={pool}/{},device=cdrom", names::seed(&node.name)));
        let mut words = vec!["--connect", &self.uri, "--name", &name, "--memory", &memory, "--vcpus", &cpus];
        words.extend([
            "--virt-type",
            virt_type,
            "--cpu",
            cpu,
            "--machine",
            "q35",
            "--import",
            "--disk",
            &disk,
        ]);
        let data = names::data_disk(&node.name);
        let data = format!("vol={pool}/{data},bus=virtio,discard=unmap,serial={DATA_SERIAL}");
        if node.data_disk_mib.is_some() {
            words.extend(["--disk", &data]);
        }
        if node.seed.is_some() {
            words.extend(["--disk", &seed]);
        }
        if firmware == Firmware::Uefi {
            words.extend(["--boot", UEFI]);
        }
        words.extend([
            "--network",
            &network,
            "--rng",
            "/dev/urandom",
            "--controller",
            "usb,model=none",
            "--serial",
            &serial,
        ]);
        words.extend(["--osinfo", "detect=on,require=off", "--graphics", "none", "--noautoconsole"]);
        words.into_iter().map(str::to_owned).collect()
    }

    /// libvirt forgets the domain of a stopped machine; `nvram` says what becomes of UEFI's settings.
    pub(super) fn undefine(&self, node: &str, nvram: &str) -> Result<(), DriverError> {
        let domain = self.domain(node);
        if self.names(&["list", "--all", "--name"])?.contains(&domain) {
            self.virsh(&["undefine", &domain, nvram])?;
        }
        Ok(())
    }

    /// The processor that an emulated machine has, as virt-install takes it.
    pub(super) fn emulated_cpu(&self) -> Result<&'static str, DriverError> {
        Ok(emulated_cpu(&self.virsh(&["version"])?))
    }
}

/// Before version 10, or perhaps some versions earlier, QEMU loses a result of cmpxchg16b when it emulates several
/// processors, and the guest's kernel dies of it: those get a processor without that instruction.
fn emulated_cpu(version: &str) -> &'static str {
    let line = version.lines().find_map(|line| line.trim().strip_prefix("Running hypervisor: QEMU "));
    let major = line.and_then(|text| text.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 10) { MAXIMUM } else { "Westmere,disable=cx16" }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{MAXIMUM, emulated_cpu};
    use crate::driver::hardware::{Accelerator, Firmware};
    use crate::driver::libvirt::client::Libvirt;
    use crate::driver::tests::{cluster, lines};

    #[test]
    fn the_words_for_virt_install() {
        let libvirt = Libvirt { uri: "qemu:///system".into(), prefix: "kiln-kiln".into(), nodes: Vec::new() };
        let mut node = cluster().nodes.remove(1);
        let words = |node: &_, accelerator, cpu, firmware| {
            lines(&libvirt.words(node, accelerator, cpu, firmware, "/out/run/node-0/serial.log"))
        };
        let cpu = emulated_cpu("Running hypervisor: QEMU 7.2.22\n");
        insta::assert_snapshot!("emulated", words(&node, Accelerator::Tcg, cpu, Firmware::Bios));
        node.seed = Some(PathBuf::from("seeds/node-0.iso"));
        let cpu = "host-passthrough";
        insta::assert_snapshot!("uefi_kvm_seed", words(&node, Accelerator::Kvm, cpu, Firmware::Uefi));
    }

    #[test]
    fn an_old_qemu_emulates_no_cmpxchg16b() {
        let version = |qemu: &str| format!("Using API: QEMU 9.0.0\nRunning hypervisor: QEMU {qemu}\n");
        assert_eq!(emulated_cpu(&version("10.0.2")), MAXIMUM);
        assert_eq!(emulated_cpu(&version("7.2.22")), "Westmere,disable=cx16");
        assert_eq!(emulated_cpu("?"), "Westmere,disable=cx16");
    }
}
