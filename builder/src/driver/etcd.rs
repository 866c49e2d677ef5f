//! `builder etcd snapshot` and `restore`: a copy of a cluster's data on this machine, and a cluster with the data of a copy.
//! What a member does for that is a script of the image of a control plane.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use sha2::{Digest, Sha256};

use super::api::{self, Api};
use super::control_plane::ControlPlane;
use super::error::DriverError;
use super::state::State;
use super::{Folders, machines, poll};
use crate::progress::Progress;
use crate::report::cluster::ClusterJson;
use crate::stage::image::private;

/// How a control plane asks etcd.
macro_rules! etcdctl {
    () => {
        "etcdctl --dial-timeout=60s --command-timeout=300s --cacert=/var/lib/kubernetes/etcd-ca.crt \
         --cert=/var/lib/kubernetes/apiserver-etcd-client.crt --key=/var/lib/kubernetes/apiserver-etcd-client.key"
    };
}

/// Copies etcd's data to its standard output.
const SNAPSHOT: &str = concat!(
    "file=$(mktemp -u /var/lib/etcd/snapshot.XXXXXX) && trap 'rm -f $file' EXIT && ",
    etcdctl!(),
    " --endpoints=https://127.0.0.1:2379 snapshot save $file >&2 && cat $file"
);

/// Where a member gets a snapshot.
const UPLOADED: &str = "/var/lib/etcd/uploaded.db";

/// How long the cluster may take to answer with its old data.
const PATIENCE: Duration = Duration::from_secs(600);

/// Writes a copy of etcd's data to a file, readable for its owner alone: it has all objects, and Secrets encrypted.
///
/// # Errors
/// [`DriverError::NotRunning`] when no control plane runs, [`DriverError::Control`] when etcd gives none.
pub fn snapshot(results: &Path, file: &Path, progress: &Progress) -> Result<(), DriverError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::metadata(folder).map_err(DriverError::NoFile)?;
    let cluster = ClusterJson::load(results)?;
    let folders = Folders::of(results)?;
    save(&ControlPlane::any(results, &cluster, &folders)?, file, progress)
}

/// The same from a control plane that is known to run.
pub(super) fn save(control: &ControlPlane<'_>, file: &Path, progress: &Progress) -> Result<(), DriverError> {
    let task = progress.task("copying etcd's data");
    let bytes = control.run(SNAPSHOT)?;
    check(file, &bytes)?;
    private(file, &bytes)?;
    task.finish();
    Ok(())
}

/// Gives every control plane the data of a snapshot. What they have is kept on each until the next time.
///
/// # Errors
/// [`DriverError::Snapshot`] before anything stops, when the file is none; [`DriverError::NotRunning`] when a control plane
/// does not run.
pub fn restore(results: &Path, file: &Path, progress: &Progress) -> Result<(), DriverError> {
    let bytes = fs::read(file).map_err(DriverError::NoFile)?;
    check(file, &bytes)?;
    let cluster = ClusterJson::load(results)?;
    let folders = Folders::of(results)?;
    let machines = machines::of(&folders, &State::load(&folders.run)?);
    let running = machines.running()?;
    if let Some(stopped) = api::planes(&cluster).find(|plane| !running.contains(&plane.name)) {
        return Err(DriverError::NotRunning { results: folders.arguments(), node: stopped.name.clone() });
    }
    let planes: Vec<_> = api::planes(&cluster).map(|plane| ControlPlane::at(results, &plane.name)).collect();
    // The members of the cluster that it was take none of this one for their own.
    let token = format!("{}-{:.12}", cluster.name, hex::encode(Sha256::digest(&bytes)));
    for plane in &planes {
        let task = progress.task(&format!("{}: its data of the snapshot", plane.node()));
        plane.send(&format!("umask 077 && cat >{UPLOADED}"), file)?;
        plane.run(&format!("/usr/lib/kiln/restore-etcd prepare {UPLOADED} {token}"))?;
        plane.run(&format!("rm {UPLOADED}"))?;
        task.finish();
    }
    let task = progress.task("the control plane: with the snapshot's data");
    planes
        .iter()
        .try_for_each(|plane| plane.run(&format!("/usr/lib/kiln/restore-etcd switch {token}")).map(drop))?;
    planes.iter().try_for_each(|plane| plane.run("/usr/lib/kiln/restore-etcd start").map(drop))?;
    let api = Api::of(&folders.results, &cluster, &*machines)?;
    let answers = || Ok::<_, DriverError>(api.as_ref().and_then(Api::nodes));
    if poll::until(PATIENCE, machines.pause().max(Duration::from_secs(2)), answers)?.is_none() {
        return Err(DriverError::Silent { results: folders.arguments(), after: PATIENCE });
    }
    task.finish();
    Ok(())
}

/// Whether the members of the other control planes are healthy: one that is lost can join again then.
pub(super) fn others_are_healthy(control: &ControlPlane<'_>, others: &[String]) -> bool {
    let endpoints: Vec<String> = others.iter().map(|node| format!("https://{node}:2379")).collect();
    let health = concat!(etcdctl!(), " endpoint health");
    control.run(&format!("{health} --endpoints={}", endpoints.join(","))).is_ok()
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
