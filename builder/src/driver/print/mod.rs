//! `builder print`: the same machines as commands for the host's own tools, ready to paste. Pure text; it starts
//! nothing and looks at nothing but `cluster.json`.

mod libvirt;
mod multipass;
mod qemu;

use crate::driver::up::refuse_foreign;
use crate::driver::{Driver, DriverError};
use crate::results::cluster::{ClusterJson, NodeJson};

/// A shell script that runs every node of a cluster; its working directory is the folder of results. It is for QEMU 7.2
/// or newer, virt-install with libvirt's system instance, or multipass.
///
/// # Errors
/// [`DriverError::Arch`] when the images are for another architecture than this machine.
pub fn print(cluster: &ClusterJson, driver: Driver) -> Result<String, DriverError> {
    refuse_foreign(cluster, driver)?;
    Ok(match driver {
        Driver::Qemu => qemu::script(cluster),
        Driver::Libvirt => libvirt::script(cluster),
        Driver::Multipass => multipass::script(cluster),
    })
}

/// A command over several lines: the program, then an option with its value on each line.
fn command(words: &[&str], options: &[(&str, String)]) -> String {
    let mut text = words.join(" ");
    for (option, value) in options {
        text += " \\\n  ";
        text += option;
        if !value.is_empty() {
            text += " ";
            text += &quote(value);
        }
    }
    text + "\n"
}

/// A word for a POSIX shell.
pub(super) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+:,./@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The size argument of `qemu-img create`, with a space before it.
fn size(node: &NodeJson) -> String {
    node.disk_mib.map(|mib| format!(" {mib}M")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{print, quote};
    use crate::driver::Driver;
    use crate::driver::tests::cluster;
    use crate::ground::arch::Arch;

    #[test]
    fn words_are_quoted_when_they_must_be() {
        assert_eq!(quote("if=none,id=disk"), "if=none,id=disk");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn machines_of_another_architecture_are_refused() {
        let mut cluster = cluster();
        cluster.arch = Arch::Arm64;
        let error = print(&cluster, Driver::Libvirt).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"the driver libvirt runs amd64 images; the cluster `kiln` was built for arm64");
    }

    #[test]
    fn commands_for_qemu() {
        insta::assert_snapshot!(print(&cluster(), Driver::Qemu).unwrap());
    }

    #[test]
    fn commands_for_multipass() {
        insta::assert_snapshot!(print(&cluster(), Driver::Multipass).unwrap());
    }

    #[test]
    fn commands_for_virt_install_on_its_default_network() {
        insta::assert_snapshot!(print(&cluster(), Driver::Libvirt).unwrap());
    }

    #[test]
    fn commands_for_virt_install_on_a_network_of_its_own() {
        let mut cluster = cluster();
        cluster.network.cidr = "10.9.0.0/24".parse().ok();
        cluster.network.gateway = None;
        cluster.nodes.truncate(1);
        cluster.nodes[0].seed = Some(PathBuf::from("seeds/server.iso"));
        cluster.nodes[0].disk_mib = None;
        insta::assert_snapshot!(print(&cluster, Driver::Libvirt).unwrap());
    }
}
