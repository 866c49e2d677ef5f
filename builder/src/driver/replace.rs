//! `builder up --replace NODE`: a node gets a new disk, over the image of the last build. Its pods are moved to other nodes
//! first, by a control plane that runs; what only its disk has is not given up silently.

use std::time::Duration;

use firstboot::schema::Duty;

use crate::driver::control_plane::ControlPlane;
use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::request::{Delete, DownRequest, UpRequest};
use crate::driver::state::State;
use crate::driver::{access, down, etcd, registry};
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, NodeJson};

/// How long its machine may take to power off.
const GRACE: Duration = Duration::from_secs(90);

/// How long its pods may take to end, in seconds.
const DRAIN: u64 = 300;

/// Where `images/data-disk` mounts a node's data disk.
const DATA: &str = "/var/lib/kiln-data";

/// A node that is being replaced.
pub(super) struct Replacement<'a> {
    node: &'a NodeJson,
    /// The control plane that looks after its pods, when one runs and it may have any.
    control: Option<ControlPlane<'a>>,
}

impl<'a> Replacement<'a> {
    /// Moves the pods of a node away and gives up its machine with its disk, but for its data disk.
    ///
    /// # Errors
    /// [`DriverError::Keeps`] when its disk has what is nowhere else; [`DriverError::Control`] when a pod does not go.
    pub(super) fn begin(
        request: &UpRequest<'a>,
        cluster: &ClusterJson,
        folders: &Folders,
        node: &'a NodeJson,
        progress: &Progress,
    ) -> Result<Self, DriverError> {
        let (results, name) = (request.results, &node.name);
        let keeps =
            |what: String| DriverError::Keeps { results: folders.arguments(), node: name.clone(), what };
        let running = registry::machines(folders, &State::load(&folders.run)?)?.running()?;
        // The profile may ask for a data disk since: the machine itself knows whether its data is on one.
        let asks = [format!("mountpoint -q {DATA}")];
        let has_data = node.data_disk_mib.is_some()
            && running.contains(name)
            && access::ssh_output(results, name, &asks)?.status.success();
        let control = ControlPlane::of(results, cluster, &running, Some(name));
        if node.has(Duty::Etcd) && !has_data && !others_have_its_data(cluster, node, control.as_ref()) {
            return Err(keeps("its member of etcd".to_owned()));
        }
        match &control {
            _ if !node.has(Duty::Kubelet) => {}
            Some(control) => {
                let claims = if has_data { String::new() } else { control.kubectl(&claims_of(name))? };
                let claims: Vec<&str> = claims.split_whitespace().collect();
                if !claims.is_empty() {
                    return Err(keeps(format!("the volumes of {}", claims.join(", "))));
                }
                let task = progress.task(&format!("{name}: its pods go elsewhere"));
                let options = "--ignore-daemonsets --delete-emptydir-data";
                control.kubectl(&format!("drain {name} {options} --timeout={DRAIN}s"))?;
                task.finish();
            }
            None => progress.line(&format!("{name}: no control plane runs, so its pods stay its own")),
        }
        let request = DownRequest { results, node: Some(name), grace: GRACE, delete: Delete::AllButData };
        down(&request, progress)?;
        Ok(Self { node, control: control.filter(|_| node.has(Duty::Kubelet)) })
    }

    /// Lets pods onto the node again, once it is Ready.
    ///
    /// # Errors
    /// [`DriverError::Control`].
    pub(super) fn finish(&self) -> Result<(), DriverError> {
        let Some(control) = &self.control else { return Ok(()) };
        control.kubectl(&format!("uncordon {}", self.node.name)).map(drop)
    }
}

/// Whether the other members of etcd have all that this one has, and let a new member take its place: each of them is healthy.
fn others_have_its_data(cluster: &ClusterJson, node: &NodeJson, control: Option<&ControlPlane<'_>>) -> bool {
    let others = cluster.with(Duty::Etcd).filter(|member| member.name != node.name);
    let others: Vec<String> = others.map(|member| member.name.clone()).collect();
    let control = control.filter(|control| control.node() != node.name);
    !others.is_empty() && control.is_some_and(|control| etcd::others_are_healthy(control, &others))
}

/// The arguments of kubectl for the claims whose volumes are on a node alone.
fn claims_of(node: &str) -> String {
    let own = format!(
        "?(@.spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].values[0]==\"{node}\")"
    );
    let name = "{.spec.claimRef.namespace}/{.spec.claimRef.name} ";
    format!("get pv --output jsonpath='{{range .items[{own}]}}{name}{{end}}'")
}
