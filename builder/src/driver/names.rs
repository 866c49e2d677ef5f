//! What machines and their disks are called outside of a folder of results: by libvirt, by multipass and by whoever pastes
//! printed commands. Every name begins with the cluster's, so that clusters do not meet.

use crate::ground::hash::Sha256Hex;

/// What a cluster's network and pool are called, and what the names of its machines begin with.
pub(super) fn prefix(cluster: &str) -> String {
    format!("kiln-{cluster}")
}

/// A node's machine.
pub(super) fn machine(prefix: &str, node: &str) -> String {
    format!("{prefix}-{node}")
}

/// A node's disk in a folder of its cluster's.
pub(super) fn disk(node: &str) -> String {
    format!("{node}.qcow2")
}

/// A node's data disk there. No host name has an underscore.
pub(super) fn data_disk(node: &str) -> String {
    format!("{node}_data.qcow2")
}

/// A node's seed there.
pub(super) fn seed(node: &str) -> String {
    format!("{node}.iso")
}

/// A role's image there: another content has another name. No host name has an underscore.
pub(super) fn image(role: &str, sha256: &Sha256Hex) -> String {
    let sha256 = sha256.as_str();
    format!("_{role}-{}.qcow2", sha256.get(..16).unwrap_or(sha256))
}

/// The node's data disk in its folder.
pub(super) const DATA_DISK: &str = "data.qcow2";

/// The serial number by which the node knows that disk, as `images/data-disk` looks for it.
pub(super) const DATA_SERIAL: &str = "kiln-data";

#[cfg(test)]
mod tests {
    use super::{data_disk, disk, image, machine, prefix, seed};

    #[test]
    fn no_two_things_are_called_the_same() {
        let sha256 = "0123456789abcdef".repeat(4).parse().unwrap();
        let names = [disk("a"), data_disk("a"), seed("a"), image("a", &sha256), disk("b")];
        assert_eq!(names, ["a.qcow2", "a_data.qcow2", "a.iso", "_a-0123456789abcdef.qcow2", "b.qcow2"]);
        assert_eq!(machine(&prefix("lab"), "server"), "kiln-lab-server");
    }
}
