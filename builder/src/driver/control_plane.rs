//! A control plane that runs, asked over SSH: what the machines of a cluster cannot be asked one by one.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use firstboot::schema::Duty;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::state::State;
use crate::driver::{access, registry};
use crate::results::cluster::ClusterJson;

/// The administrator's kubeconfig on a control plane.
const KUBECONFIG: &str = "/var/lib/kubernetes/admin.kubeconfig";

/// A control plane of a cluster.
#[derive(Debug, Clone)]
pub(super) struct ControlPlane<'a> {
    results: &'a Path,
    node: String,
}

impl<'a> ControlPlane<'a> {
    /// One that runs, `last` only when there is no other; of several, one whose API server is ready.
    pub(super) fn of(
        results: &'a Path,
        cluster: &ClusterJson,
        running: &BTreeSet<String>,
        last: Option<&str>,
    ) -> Option<Self> {
        let planes = cluster.with(Duty::ApiServer).filter(|plane| running.contains(&plane.name));
        let mut all: Vec<Self> = planes.map(|plane| Self::at(results, &plane.name)).collect();
        all.sort_by_key(|plane| Some(plane.node()) == last);
        let is_ready = |plane: &&Self| plane.kubectl("get --raw /readyz --request-timeout=30s").is_ok();
        match all.as_slice() {
            [only] => Some(only.clone()),
            several => several.iter().find(is_ready).or(several.first()).cloned(),
        }
    }

    /// Any that runs.
    ///
    /// # Errors
    /// [`DriverError::NotRunning`] when none does.
    pub(super) fn any(
        results: &'a Path,
        cluster: &ClusterJson,
        folders: &Folders,
    ) -> Result<Self, DriverError> {
        let running = registry::machines(folders, &State::load(&folders.run)?)?.running()?;
        Self::of(results, cluster, &running, None).ok_or_else(|| DriverError::NotRunning {
            results: folders.arguments(),
            node: cluster.name.clone(),
        })
    }

    /// A certain one.
    pub(super) fn at(results: &'a Path, node: &str) -> Self {
        Self { results, node: node.to_owned() }
    }

    /// The node that it is.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Runs kubectl there. `words` are a shell's.
    ///
    /// # Errors
    /// [`DriverError::Control`] with what it said.
    pub(super) fn kubectl(&self, words: &str) -> Result<String, DriverError> {
        let said = self.run(&format!("kubectl --kubeconfig={KUBECONFIG} {words}"))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs a shell's command there and returns what it printed.
    ///
    /// # Errors
    /// As [`ControlPlane::kubectl`].
    pub(super) fn run(&self, command: &str) -> Result<Vec<u8>, DriverError> {
        self.heard(command, access::ssh_output(self.results, &self.node, &[command.to_owned()])?)
    }

    /// The same with a file as the command's standard input.
    ///
    /// # Errors
    /// As [`ControlPlane::kubectl`].
    pub(super) fn send(&self, command: &str, file: &Path) -> Result<Vec<u8>, DriverError> {
        self.heard(command, access::ssh_send(self.results, &self.node, command, file)?)
    }

    fn heard(&self, command: &str, output: Output) -> Result<Vec<u8>, DriverError> {
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(DriverError::Control { node: self.node.clone(), command: command.to_owned(), said })
    }
}
