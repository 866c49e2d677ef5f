//! `builder ssh` and `builder kubeconfig`: the administrator's ways into a running cluster.

use std::ffi::OsString;
use std::path::Path;
use std::process::Output;

use fs_err as fs;

use crate::driver::error::DriverError;
use crate::driver::folders::{Folders, select};
use crate::driver::state::State;
use crate::driver::{api, registry};
use crate::results::cluster::ClusterJson;
use crate::results::report::{KUBECONFIG, SSH_KEY};

/// SSH's port on every node.
const PORT: u16 = 22;

/// Runs the host's ssh: a login on a node, or `command` there, with this process's terminal. Returns ssh's exit code:
/// the command's, or 255 when there was no connection.
///
/// # Errors
/// [`DriverError`] when the node does not run or the host has no ssh.
pub fn ssh(results: &Path, node: &str, command: &[String]) -> Result<u8, DriverError> {
    let output = run(duct::cmd("ssh", ssh_argv(results, node, command)?))?;
    Ok(output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}

/// The same with an empty standard input, and what the command says in the result.
pub(super) fn ssh_output(results: &Path, node: &str, command: &[String]) -> Result<Output, DriverError> {
    let ssh = duct::cmd("ssh", ssh_argv(results, node, command)?);
    run(ssh.stdin_null().stdout_capture().stderr_capture())
}

/// The same with a file as the command's standard input.
pub(super) fn ssh_send(
    results: &Path,
    node: &str,
    command: &str,
    file: &Path,
) -> Result<Output, DriverError> {
    let ssh = duct::cmd("ssh", ssh_argv(results, node, &[command.to_owned()])?);
    run(ssh.stdin_path(file).stdout_capture().stderr_capture())
}

fn run(ssh: duct::Expression) -> Result<Output, DriverError> {
    ssh.unchecked().run().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => DriverError::NoSsh,
        _ => DriverError::Io(error),
    })
}

/// The arguments of ssh, ssh(1). The user's own settings and keys stay out of it; the node's host key is believed at
/// first sight and kept with the node's disk, on which it was made.
fn ssh_argv(results: &Path, node: &str, command: &[String]) -> Result<Vec<OsString>, DriverError> {
    let cluster = ClusterJson::load(results)?;
    let folders = Folders::of(results)?;
    let machines = registry::machines(&folders, &State::load(&folders.run)?)?;
    let found = select(&cluster, Some(node))?;
    let running = machines.running()?;
    let found = found.first().filter(|node| running.contains(&node.name));
    let address = found.map(|node| machines.address(node, PORT)).transpose()?.flatten();
    let not_running = || DriverError::NotRunning { results: folders.arguments(), node: node.to_owned() };
    let address = address.ok_or_else(not_running)?;
    let mut known_hosts = OsString::from("UserKnownHostsFile=\"");
    known_hosts.push(folders.node(node).join("known_hosts"));
    known_hosts.push("\"");
    let mut argv: Vec<OsString> = ["-F", "none", "-i"].map(OsString::from).to_vec();
    argv.push(folders.results.join(SSH_KEY).into());
    for option in
        ["IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=accept-new", "LogLevel=ERROR"]
    {
        argv.extend(["-o", option].map(OsString::from));
    }
    argv.extend([OsString::from("-o"), known_hosts]);
    let (port, host) = (address.port().to_string(), format!("root@{}", address.ip()));
    argv.extend(["-p", &port, &host].map(OsString::from));
    if !command.is_empty() {
        argv.push("--".into());
        argv.extend(command.iter().map(OsString::from));
    }
    Ok(argv)
}

/// The administrator's kubeconfig with the API server where this machine reaches it.
///
/// # Errors
/// [`DriverError::NotRunning`] before the first `up`.
pub fn kubeconfig(results: &Path) -> Result<String, DriverError> {
    let cluster = ClusterJson::load(results)?;
    let folders = Folders::of(results)?;
    let machines = registry::machines(&folders, &State::load(&folders.run)?)?;
    let way = api::way(&folders.results, &cluster, &*machines)?;
    let not_running = || DriverError::NotRunning { results: folders.arguments(), node: cluster.name.clone() };
    let text = fs::read_to_string(folders.results.join(KUBECONFIG))?;
    Ok(api::at(&text, way.ok_or_else(not_running)?))
}
