//! `builder etcd snapshot` and `restore`: a copy of a cluster's data on this machine, and a cluster with the data of a copy.
//! What a member does for that is a script of its image.

use std::path::Path;
use std::time::Duration;

use firstboot::schema::Duty;
use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::driver::api::Api;
use crate::driver::control_plane::ControlPlane;
use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::state::State;
use crate::driver::{poll, registry};
use crate::ground::durable::private;
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, NodeJson};

/// Copies etcd's data to a member's standard output.
const SNAPSHOT: &str = "file=$(mktemp -u /var/lib/etcd/snapshot.XXXXXX) && trap 'rm -f $file' EXIT && \
    etcdctl --dial-timeout=60s --command-timeout=300s --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt \
    --cert=/etc/etcd/peer.crt --key=/etc/etcd/peer.key snapshot save $file >&2 && cat $file";

/// How a node with an API server asks whether members are healthy.
const HEALTH: &str = "etcdctl --dial-timeout=60s --command-timeout=300s --cacert=/var/lib/kubernetes/etcd-ca.crt \
    --cert=/var/lib/kubernetes/apiserver-etcd-client.crt --key=/var/lib/kubernetes/apiserver-etcd-client.key endpoint health";

/// Where a member gets a snapshot.
const UPLOADED: &str = "/var/lib/etcd/uploaded.db";

/// What runs with the data, where no member does.
const CLIENTS: &str = "kube-scheduler kube-controller-manager kube-apiserver";

/// How long the cluster may take to answer with its old data.
const PATIENCE: Duration = Duration::from_secs(600);

/// Writes a copy of etcd's data to a file, readable for its owner alone: it has all objects, and Secrets encrypted.
///
/// # Errors
/// [`DriverError::NotRunning`] when no member runs, [`DriverError::Control`] when etcd gives none.
pub fn snapshot(results: &Path, file: &Path, progress: &Progress) -> Result<(), DriverError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(folder).map_err(DriverError::NoFile)?;
    let cluster = ClusterJson::load(results)?;
    let folders = Folders::of(results)?;
    save(&member(results, &cluster, &folders)?, file, progress)
}

/// A member of etcd that runs.
pub(super) fn member<'a>(
    results: &'a Path,
    cluster: &ClusterJson,
    folders: &Folders,
) -> Result<ControlPlane<'a>, DriverError> {
    let running = registry::machines(folders, &State::load(&folders.run)?)?.running()?;
    let member = cluster.with(Duty::Etcd).find(|member| running.contains(&member.name));
    let member = member.map(|member| ControlPlane::at(results, &member.name));
    member.ok_or_else(|| DriverError::NotRunning { results: folders.arguments(), node: cluster.name.clone() })
}

/// The same from a member that is known to run.
pub(super) fn save(member: &ControlPlane<'_>, file: &Path, progress: &Progress) -> Result<(), DriverError> {
    let task = progress.task("copying etcd's data");
    let bytes = member.run(SNAPSHOT)?;
    check(file, &bytes)?;
    private(file, &bytes)?;
    task.finish();
    Ok(())
}

/// Gives every member of etcd the data of a snapshot. What they have is kept on each until the next time.
///
/// # Errors
/// [`DriverError::Snapshot`] before anything stops, when the file is none; [`DriverError::NotRunning`] when a member or
/// an API server does not run.
pub fn restore(results: &Path, file: &Path, progress: &Progress) -> Result<(), DriverError> {
    let bytes = fs::read(file).map_err(DriverError::NoFile)?;
    check(file, &bytes)?;
    let cluster = ClusterJson::load(results)?;
    let folders = Folders::of(results)?;
    let machines = registry::machines(&folders, &State::load(&folders.run)?)?;
    let running = machines.running()?;
    let planes = || cluster.nodes.iter().filter(|node| node.has(Duty::Etcd) || node.has(Duty::ApiServer));
    if let Some(stopped) = planes().find(|node| !running.contains(&node.name)) {
        return Err(DriverError::NotRunning { results: folders.arguments(), node: stopped.name.clone() });
    }
    let at = |node: &NodeJson| ControlPlane::at(results, &node.name);
    let members: Vec<_> = cluster.with(Duty::Etcd).map(at).collect();
    // What does not stop beside a member.
    let others: Vec<_> = planes().filter(|node| !node.has(Duty::Etcd)).map(at).collect();
    // The members of the cluster that it was take none of this one for their own.
    let token = format!("{}-{:.12}", cluster.name, hex::encode(Sha256::digest(&bytes)));
    for member in &members {
        let task = progress.task(&format!("{}: its data of the snapshot", member.node()));
        member.send(&format!("umask 077 && cat >{UPLOADED}"), file)?;
        member.run(&format!("/usr/lib/kiln/restore-etcd prepare {UPLOADED} {token}"))?;
        member.run(&format!("rm {UPLOADED}"))?;
        task.finish();
    }
    let task = progress.task("the control plane: with the snapshot's data");
    let on_all = |nodes: &[ControlPlane<'_>], command: &str| {
        nodes.iter().try_for_each(|node| node.run(command).map(drop))
    };
    on_all(&others, &format!("systemctl kill --signal=SIGKILL {CLIENTS}; systemctl stop {CLIENTS}"))?;
    on_all(&members, &format!("/usr/lib/kiln/restore-etcd switch {token}"))?;
    on_all(&members, "/usr/lib/kiln/restore-etcd start")?;
    on_all(&others, &format!("systemctl start --no-block {CLIENTS}"))?;
    let api = Api::of(&folders.results, &cluster, &*machines)?;
    let answers = || Ok::<_, DriverError>(api.as_ref().and_then(Api::nodes));
    if poll::until(PATIENCE, machines.pause().max(Duration::from_secs(2)), answers)?.is_none() {
        return Err(DriverError::Silent { results: folders.arguments(), after: PATIENCE });
    }
    task.finish();
    Ok(())
}

/// Whether other members are healthy: one that is lost can join again then.
pub(super) fn others_are_healthy(control: &ControlPlane<'_>, others: &[String]) -> bool {
    let endpoints: Vec<String> = others.iter().map(|node| format!("https://{node}:2379")).collect();
    control.run(&format!("{HEALTH} --endpoints={}", endpoints.join(","))).is_ok()
}

/// etcd writes the hash of its database behind it: SHA-256, and the database itself is a multiple of 512 bytes.
fn check(file: &Path, bytes: &[u8]) -> Result<(), DriverError> {
    let is_whole = bytes.split_last_chunk::<32>().is_some_and(|(database, hash)| {
        !database.is_empty()
            && database.len().is_multiple_of(512)
            && Sha256::digest(database).as_slice() == hash
    });
    if is_whole { Ok(()) } else { Err(DriverError::Snapshot(file.to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::check;

    #[test]
    fn only_a_whole_snapshot_is_taken() {
        let database = vec![7; 1024];
        let whole = [database.as_slice(), Sha256::digest(&database).as_slice()].concat();
        let takes = |bytes: &[u8]| check(Path::new("etcd.db"), bytes).is_ok();
        assert!(takes(&whole));
        assert!(!takes(&whole[..whole.len() - 1]) && !takes(&whole[1..]) && !takes(&database));
        let mut changed = whole.clone();
        changed[100] ^= 1;
        let empty = Sha256::digest([]);
        assert!(!takes(&changed) && !takes(&[]) && !takes(&empty));
        insta::assert_snapshot!(check(Path::new("etcd.db"), &changed).unwrap_err(), @"`etcd.db` is no whole snapshot of etcd");
    }
}
