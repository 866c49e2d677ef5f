//! A control plane that runs, asked over SSH: what the machines of a cluster cannot be asked one by one.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::DriverError;
use super::{access, api};
use crate::report::cluster::ClusterJson;

/// The administrator's kubeconfig on a control plane.
const KUBECONFIG: &str = "/var/lib/kubernetes/admin.kubeconfig";

/// A control plane of a cluster.
#[derive(Debug, Clone)]
pub(super) struct ControlPlane<'a> {
    results: &'a Path,
    node: String,
}

impl<'a> ControlPlane<'a> {
    /// One that runs; `last` only when there is no other.
    pub(super) fn of(
        results: &'a Path,
        cluster: &ClusterJson,
        running: &BTreeSet<String>,
        last: Option<&str>,
    ) -> Option<Self> {
        let planes = || api::planes(cluster).filter(|plane| running.contains(&plane.name));
        let found = planes().find(|plane| Some(plane.name.as_str()) != last).or_else(|| planes().next())?;
        Some(Self { results, node: found.name.clone() })
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
        let output = access::ssh_output(self.results, &self.node, &[command.to_owned()])?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(DriverError::Control { node: self.node.clone(), command: command.to_owned(), said })
    }
}
