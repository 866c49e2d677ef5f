//! The switch between the machines: its command line and its control socket (vde_switch(1)). It does not own when the
//! switch runs.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::driver::qemu::qmp;

/// The folder of sockets that machines connect to, in the switch's folder.
pub(super) const SOCKETS: &str = "vde";

/// Commands that the switch runs at its start: it forgets no machine, so no frame for one ever goes to all.
pub(super) const SETTINGS: &str = "hash/setexpire 1000000000\n";

/// The socket that takes commands, in the same folder.
const CONTROL: &str = "control.sock";

/// How many machines it has room for, the gateway among them; by itself it has for 31.
const PORTS: &str = "1024";

/// The switch's command line; `folder` holds [`SETTINGS`].
pub(super) fn switch(folder: &str) -> Vec<String> {
    let (sockets, settings) = (format!("{folder}/{SOCKETS}"), format!("{folder}/settings"));
    ["vde_switch", "--numports", PORTS, "--sock", &sockets, "--mode", "0600", "--rcfile", &settings]
        .map(str::to_owned)
        .to_vec()
}

/// Options that `builder up` adds: the socket by which the switch is told to end.
pub(super) fn controlled(folder: &str) -> [String; 4] {
    ["--mgmt", &format!("{folder}/{CONTROL}"), "--mgmtmode", "0600"].map(str::to_owned)
}

/// Whether machines can connect.
pub(super) fn answers(folder: &Path) -> bool {
    qmp::connect(&folder.join(SOCKETS), "ctl").is_ok()
}

/// Tells it to end. It says farewell and hangs up, and takes its sockets along.
pub(super) fn shut_down(folder: &Path) -> io::Result<()> {
    let mut control = qmp::connect(folder, CONTROL)?;
    control.write_all(b"shutdown\n")?;
    control.read_to_end(&mut Vec::new()).map(drop)
}
