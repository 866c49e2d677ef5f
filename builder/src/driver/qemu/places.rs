//! Where a machine's files are, as QEMU and people see them.

use crate::driver::qemu::vde;

/// The switch's folder below `run`; the underscore keeps it apart from every host name.
pub(super) const SWITCH: &str = "_switch";

/// The gateway's folder.
pub(super) const GATEWAY: &str = "_gateway";

/// The folder of results as a sandbox sees it: short, because the path of a socket may have 107 bytes.
pub(super) const RESULTS_INSIDE: &str = "/kiln/cluster";

/// The folder of everything that runs, as a sandbox sees it.
pub(super) const RUN_INSIDE: &str = "/kiln/cluster/run";

/// The places of machines that `builder up` starts.
pub(super) fn places() -> Places {
    Places { results: RESULTS_INSIDE.to_owned(), run: RUN_INSIDE.to_owned() }
}

/// Where a machine's files are, as QEMU sees them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The folder of results, `<out>/<profile>`.
    pub(super) results: String,
    /// The folder of everything that runs; the node's own is below it.
    pub(super) run: String,
}

impl Places {
    /// The folder of sockets through which everything reaches the switch.
    pub(super) fn switch(&self) -> String {
        format!("{}/{}/{}", self.run, SWITCH, vde::SOCKETS)
    }
}

/// Options that `builder up` gives to every QEMU: no default devices, no screen, and a control socket.
pub(super) fn controlled(folder: &str) -> Vec<String> {
    let socket = format!("unix:{folder}/{QMP_SOCKET},server=on,wait=off");
    ["-no-user-config", "-display", "none", "-monitor", "none", "-qmp", &socket].map(str::to_owned).to_vec()
}

/// The control socket's name in a machine's folder.
pub(super) const QMP_SOCKET: &str = "qmp.sock";

/// The node's disk in its folder.
pub(super) const DISK: &str = "disk.qcow2";

/// UEFI's settings in the node's folder.
pub(super) const FIRMWARE_VARIABLES: &str = "efivars.fd";
