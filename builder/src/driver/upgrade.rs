//! `builder up --upgrade`: every node gets the image of the last build, one after the other: etcd's members, the control planes,
//! then all others. What a newer Kubernetes may run beside is checked before anything stops
//! (<https://kubernetes.io/releases/version-skew-policy/>), and etcd's data is copied to this machine.

use std::fmt;

use firstboot::schema::Duty;

use crate::driver::control_plane::ControlPlane;
use crate::driver::error::DriverError;
use crate::driver::etcd;
use crate::driver::folders::Folders;
use crate::driver::machines::Driver;
use crate::driver::request::UpRequest;
use crate::driver::status::{StatusReport, report};
use crate::driver::up::up;
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, NodeJson};

/// How many minor versions a kubelet may be older than the API server.
const KUBELETS: u32 = 3;

/// Gives every node whose disk is of an older image the last build's, and waits for each.
///
/// # Errors
/// [`DriverError::Skew`] before anything was changed; else what stopped at the first node that does not become Ready.
pub fn upgrade(
    driver: &dyn Driver,
    request: &UpRequest<'_>,
    progress: &Progress,
) -> Result<StatusReport, DriverError> {
    let cluster = ClusterJson::load(request.results)?;
    let folders = Folders::of(request.results)?;
    let before = report(&cluster, &folders)?;
    let is_older = |node: &&NodeJson| before.nodes.iter().any(|known| known.name == node.name && known.older);
    let mut nodes: Vec<&NodeJson> = cluster.nodes.iter().filter(is_older).collect();
    nodes.sort_by_key(|node| place(node));
    if nodes.is_empty() {
        progress.line("every node has the last build's image");
        return Ok(before);
    }
    let control = ControlPlane::any(request.results, &cluster, &folders)?;
    check_skew(&control, &cluster)?;
    let file = folders.run.join(format!("etcd-before-{}.db", cluster.release));
    etcd::save(&etcd::member(request.results, &cluster, &folders)?, &file, progress)?;
    progress.line(&format!("etcd's data of before: {}", file.display()));
    for node in nodes {
        let one = UpRequest { node: Some(&node.name), replace: true, ..*request };
        up(driver, &one, progress).map_err(|error| DriverError::Upgrade {
            results: folders.arguments(),
            node: node.name.clone(),
            error: Box::new(error),
        })?;
    }
    report(&cluster, &folders)
}

/// What a node does decides when it is its turn: etcd's members, the control planes, what runs pods, the rest.
fn place(node: &NodeJson) -> usize {
    let duties = [Duty::Etcd, Duty::ApiServer, Duty::Kubelet];
    duties.iter().position(|duty| node.has(*duty)).unwrap_or(duties.len())
}

/// A minor version of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Minor(u32, u32);

impl Minor {
    /// That of `1.37.2`, `v1.37.2` or `v1.37.2-rc.1`.
    fn parse(version: &str) -> Option<Self> {
        let mut numbers = version.trim().trim_start_matches('v').split('.');
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

fn check_skew(control: &ControlPlane<'_>, cluster: &ClusterJson) -> Result<(), DriverError> {
    let server = control.kubectl("get --raw /version --request-timeout=60s")?;
    let server: serde_json::Value = serde_json::from_str(&server).map_err(std::io::Error::from)?;
    let server = server["gitVersion"].as_str().unwrap_or_default().to_owned();
    let columns = "custom-columns=NAME:.metadata.name,VERSION:.status.nodeInfo.kubeletVersion";
    let kubelets = control.kubectl(&format!("get nodes --no-headers --output {columns}"))?;
    let kubelets = kubelets.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?))
    });
    let fact = skew(&cluster.kubernetes, &server, kubelets);
    fact.map_or(Ok(()), |fact| Err(DriverError::Skew { fact }))
}

/// Why a cluster cannot go from the version of its API server to another one, if it cannot.
fn skew<'a>(
    wanted: &str,
    server: &str,
    kubelets: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<String> {
    let (Some(to), Some(from)) = (Minor::parse(wanted), Minor::parse(server)) else {
        return Some(format!("the versions `{wanted}` and `{server}` cannot be compared"));
    };
    if to < from {
        return Some(format!("the cluster runs Kubernetes {from}, and etcd's data has no way back to {to}"));
    }
    if to.0 != from.0 || to.1 > from.1 + 1 {
        return Some(format!(
            "the cluster runs Kubernetes {from}; it goes to {}.{} before it goes to {to}",
            from.0,
            from.1 + 1
        ));
    }
    let old = kubelets.filter_map(|(node, version)| Some((node, Minor::parse(version)?)));
    let mut old = old.filter(|(_, kubelet)| kubelet.0 != to.0 || kubelet.1 + KUBELETS < to.1);
    old.next().map(|(node, kubelet)| {
        format!("the kubelet of `{node}` is of Kubernetes {kubelet}, which an API server of {to} does not take any more")
    })
}

#[cfg(test)]
mod tests {
    use super::skew;

    #[test]
    fn a_cluster_goes_one_minor_version_at_a_time_and_never_back() {
        let go = |wanted, server, kubelet| skew(wanted, server, [("node-0", kubelet)].into_iter());
        for (wanted, server, kubelet) in [
            ("1.37.2", "v1.36.3", "v1.36.3"),
            ("1.37.2", "v1.37.1", "v1.37.2"),
            ("1.37.2", "v1.36.3", "v1.34.8"),
        ] {
            assert_eq!(go(wanted, server, kubelet), None, "{server} to {wanted}");
        }
        let facts: Vec<String> = [
            ("1.36.3", "v1.37.2", "v1.37.2"),
            ("1.37.2", "v1.34.8", "v1.34.8"),
            ("1.37.2", "v1.36.3", "v1.33.0"),
            ("1.37.2", "", "v1.36.0"),
        ]
        .into_iter()
        .filter_map(|(wanted, server, kubelet)| go(wanted, server, kubelet))
        .collect();
        insta::assert_snapshot!(facts.join("\n"), @r"
        the cluster runs Kubernetes 1.37, and etcd's data has no way back to 1.36
        the cluster runs Kubernetes 1.34; it goes to 1.35 before it goes to 1.37
        the kubelet of `node-0` is of Kubernetes 1.33, which an API server of 1.37 does not take any more
        the versions `1.37.2` and `` cannot be compared
        ");
    }
}
