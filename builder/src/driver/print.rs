//! `builder print`: the same machines as commands for the host's own tools, ready to paste. Pure text; it starts
//! nothing and looks at nothing but `cluster.json`.

use crate::driver::error::DriverError;
use crate::driver::machines::{Driver, refuse_foreign, refuse_format};
use crate::results::cluster::ClusterJson;

/// A shell script that runs every node of a cluster; its working directory is the folder of results. It is for QEMU 7.2
/// or newer, virt-install with libvirt's system instance, or multipass.
///
/// # Errors
/// [`DriverError::Format`] when the images are no qcow2, [`DriverError::Arch`] when the images are for another architecture than this machine, [`DriverError::Cannot`] when a name is too long.
pub fn print(cluster: &ClusterJson, driver: &dyn Driver) -> Result<String, DriverError> {
    refuse_format(cluster)?;
    refuse_foreign(cluster, driver.name())?;
    driver.check_names(cluster)?;
    Ok(driver.script(cluster))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::print;
    use crate::driver::registry::named;
    use crate::driver::tests::cluster;
    use crate::ground::arch::Arch;

    #[test]
    fn machines_of_another_architecture_are_refused() {
        let mut cluster = cluster();
        cluster.arch = Arch::Arm64;
        let error = print(&cluster, named("libvirt").unwrap()).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"the driver libvirt runs amd64 images; the cluster `kiln` was built for arm64");
    }

    #[test]
    fn a_name_that_multipass_cannot_give_is_refused() {
        let mut cluster = cluster();
        cluster.name = "production-kubernetes-frankfurt-general-purpose-pool-a".to_owned();
        print(&cluster, named("qemu").unwrap()).unwrap();
        let error = print(&cluster, named("multipass").unwrap()).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"multipass cannot call a machine `kiln-production-kubernetes-frankfurt-general-purpose-pool-a-server`: that has 66 letters, and 63 are the most");
    }

    #[test]
    fn commands_for_qemu() {
        insta::assert_snapshot!(print(&cluster(), named("qemu").unwrap()).unwrap());
    }

    #[test]
    fn commands_for_multipass() {
        insta::assert_snapshot!(print(&cluster(), named("multipass").unwrap()).unwrap());
    }

    #[test]
    fn commands_for_virt_install_on_its_default_network() {
        insta::assert_snapshot!(print(&cluster(), named("libvirt").unwrap()).unwrap());
    }

    #[test]
    fn commands_for_virt_install_on_a_network_of_its_own() {
        let mut cluster = cluster();
        cluster.network.cidr = "10.9.0.0/24".parse().ok();
        cluster.network.gateway = None;
        cluster.nodes.truncate(1);
        cluster.nodes[0].seed = Some(PathBuf::from("seeds/server.iso"));
        cluster.nodes[0].disk_mib = None;
        insta::assert_snapshot!(print(&cluster, named("libvirt").unwrap()).unwrap());
    }
}
