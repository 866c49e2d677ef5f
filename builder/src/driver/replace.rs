//! `builder up --replace NODE`: a node gets a new disk, over the image of the last build. Its pods are moved to other nodes
//! first, by a control plane that runs; what only its disk has is not given up silently.

use std::time::Duration;

use super::error::DriverError;
use super::machines;
use super::state::State;
use super::up::UpRequest;
use super::{DownRequest, Folders, access, api, down};
use crate::progress::Progress;
use crate::report::cluster::{ClusterJson, NodeJson};

/// How long its machine may take to power off.
const GRACE: Duration = Duration::from_secs(90);

/// How long its pods may take to end elsewhere, in seconds.
const DRAIN: u64 = 300;

/// The administrator's kubeconfig on a control plane.
const KUBECONFIG: &str = "/var/lib/kubernetes/admin.kubeconfig";

/// A node that is being replaced.
pub(super) struct Replacement<'a> {
    request: &'a UpRequest<'a>,
    node: &'a NodeJson,
    /// The control plane that looks after its pods, when one runs.
    plane: Option<String>,
}

impl<'a> Replacement<'a> {
    /// Moves the pods of a node away and gives up its machine with its disk.
    ///
    /// # Errors
    /// [`DriverError::Keeps`] when its disk has what is nowhere else; [`DriverError::Drain`] when a pod does not go.
    pub(super) fn begin(
        request: &'a UpRequest<'a>,
        cluster: &ClusterJson,
        folders: &Folders,
        node: &'a NodeJson,
        progress: &Progress,
    ) -> Result<Self, DriverError> {
        let keeps =
            |what: String| DriverError::Keeps { results: folders.arguments(), node: node.name.clone(), what };
        if api::planes(cluster).any(|plane| plane.name == node.name) {
            return Err(keeps("its member of etcd".to_owned()));
        }
        let running = machines::of(folders, &State::load(&folders.run)?).running()?;
        let plane = api::planes(cluster).find(|plane| running.contains(&plane.name));
        let this = Self { request, node, plane: plane.map(|plane| plane.name.clone()) };
        if this.plane.is_some() {
            let claims = this.kubectl(&format!("get pv --output jsonpath='{}'", claims_of(&node.name)))?;
            let claims: Vec<&str> = claims.split_whitespace().collect();
            if !claims.is_empty() {
                return Err(keeps(format!("the volumes of {}", claims.join(", "))));
            }
            let task = progress.task(&format!("{}: its pods go elsewhere", node.name));
            let options = "--ignore-daemonsets --delete-emptydir-data";
            this.kubectl(&format!("drain {} {options} --timeout={DRAIN}s", node.name))?;
            task.finish();
        } else {
            progress
                .line(&format!("{}: no control plane runs, so its pods stay until it is back", node.name));
        }
        let (results, grace) = (request.results, GRACE);
        down(&DownRequest { results, node: Some(&node.name), grace, delete: true }, progress)?;
        Ok(this)
    }

    /// Lets pods onto the node again, once it is Ready.
    pub(super) fn finish(&self) -> Result<(), DriverError> {
        self.kubectl(&format!("uncordon {}", self.node.name)).map(drop)
    }

    /// Runs kubectl on the control plane, if any.
    fn kubectl(&self, words: &str) -> Result<String, DriverError> {
        let Some(plane) = &self.plane else { return Ok(String::new()) };
        let output = access::ssh_output(
            self.request.results,
            plane,
            &[format!("kubectl --kubeconfig={KUBECONFIG} {words}")],
        )?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(DriverError::Drain { node: self.node.name.clone(), plane: plane.clone(), said })
    }
}

/// The claims whose volumes are on a node alone, as a path for kubectl.
fn claims_of(node: &str) -> String {
    let own = format!(
        "?(@.spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].values[0]==\"{node}\")"
    );
    format!("{{range .items[{own}]}}{{.spec.claimRef.namespace}}/{{.spec.claimRef.name}} {{end}}")
}
