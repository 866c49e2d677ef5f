//! A cluster's part of this host's libvirt, and speaking to it by virsh(1).

use std::collections::BTreeSet;

use crate::driver::error::DriverError;
use crate::driver::host::{self, Program};
use crate::driver::names;
use crate::driver::state::State;

const VIRSH: Program =
    Program { name: "virsh", hint: "install it: Debian's package is libvirt-clients", advice };

/// Where libvirt is when LIBVIRT_DEFAULT_URI does not say it.
const SYSTEM: &str = "qemu:///system";

/// A cluster's part of libvirt.
#[derive(Debug, Clone)]
pub(in crate::driver) struct Libvirt {
    pub(super) uri: String,
    /// Name of network and pool, and beginning of the domains'.
    pub(super) prefix: String,
    /// The machines that were ever started.
    pub(super) nodes: Vec<String>,
}

impl Libvirt {
    pub(super) fn of(state: &State) -> Self {
        Self {
            uri: state.libvirt.as_ref().map_or_else(default_uri, |libvirt| libvirt.uri.clone()),
            prefix: state.prefix.clone(),
            nodes: state.nodes.keys().cloned().collect(),
        }
    }

    pub(super) fn domain(&self, node: &str) -> String {
        names::machine(&self.prefix, node)
    }

    /// Runs virsh and returns what it printed.
    pub(super) fn virsh(&self, argv: &[&str]) -> Result<String, DriverError> {
        let mut words = vec!["--connect", &self.uri, "--quiet"];
        words.extend(argv);
        host::run(VIRSH, &words.into_iter().map(str::to_owned).collect::<Vec<_>>())
    }

    /// The first word of each line that virsh prints.
    pub(super) fn names(&self, argv: &[&str]) -> Result<BTreeSet<String>, DriverError> {
        let text = self.virsh(argv)?;
        Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Whether the user's own libvirt is meant, which has no place of its own for disks.
    pub(super) fn is_session(&self) -> bool {
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
