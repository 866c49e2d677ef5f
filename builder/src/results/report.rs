//! What a build tells about its result, in files beside the images.
//!
//! Each format has a module of its own with its types. It does not own how a result is made.

use std::path::{Path, PathBuf};

use firstboot::schema::Duty;

use crate::disk::Encoding;
use crate::ground::durable::{private, public};
use crate::ground::error::Result;
use crate::identity::cluster::Admin;
use crate::identity::seed;
use crate::plan::Plan;
use crate::profile::Identity;
use crate::profile::endpoint::PORT;
use crate::results::cluster::{self, ClusterJson, ImageJson, NetworkJson, NodeJson};
use crate::results::image::Image;
use crate::results::provenance::{self, Statement};

/// The file of [`Admin::kubeconfig`].
pub const KUBECONFIG: &str = "admin.kubeconfig";

/// The file of [`Admin::ssh_key`].
pub const SSH_KEY: &str = "ssh.key";

/// The files of [`write()`].
pub const FILES: [&str; 5] = [cluster::FILE, SHA256SUMS, provenance::FILE, KUBECONFIG, SSH_KEY];

/// The bills of materials of a role's image, as SPDX and as CycloneDX.
#[must_use]
pub fn sbom_files(role: &str) -> [String; 2] {
    ["spdx", "cdx"].map(|form| format!("{role}.{form}.json"))
}

/// The checksums of the images, as sha256sum writes them.
pub const SHA256SUMS: &str = "SHA256SUMS";

/// Where a node's seed lies in the output folder, when the nodes have seeds.
#[must_use]
pub fn seed_path(node: &str) -> PathBuf {
    Path::new(seed::FOLDER).join(seed::file_name(node))
}

/// Writes `cluster.json`, `SHA256SUMS`, `provenance.json`, `admin.kubeconfig` and `ssh.key` into the output folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(
    plan: &Plan,
    folder: &Path,
    images: &[Image],
    (identity, encoding): (Identity, Encoding),
    admin: &Admin,
) -> Result<()> {
    let table = cluster_json(plan, images, identity, admin).to_text().map_err(std::io::Error::from)?;
    public(&folder.join(cluster::FILE), table.as_bytes())?;
    let sums: String = images.iter().map(|image| format!("{}  {}\n", image.sha256, image.file)).collect();
    public(&folder.join(SHA256SUMS), sums.as_bytes())?;
    let provenance = Statement::of(plan, images, identity, encoding)?;
    let provenance = provenance.to_text().map_err(std::io::Error::from)?;
    public(&folder.join(provenance::FILE), provenance.as_bytes())?;
    private(&folder.join(KUBECONFIG), admin.kubeconfig.expose().as_bytes())?;
    private(&folder.join(SSH_KEY), admin.ssh_key.expose().as_bytes())?;
    Ok(())
}

fn cluster_json(plan: &Plan, images: &[Image], identity: Identity, admin: &Admin) -> ClusterJson {
    let network = &plan.cluster.network;
    ClusterJson {
        version: cluster::VERSION,
        name: plan.cluster.name.clone(),
        release: plan.cluster.release.clone(),
        kubernetes: plan.release.kubernetes.clone(),
        certificates_end: admin.certificates_end.clone(),
        arch: plan.arch,
        network: NetworkJson { cidr: network.cidr, gateway: network.gateway },
        addons: plan.addons.iter().map(|addon| addon.name.clone()).collect(),
        images: images.iter().map(image_json).collect(),
        nodes: plan.cluster.nodes.iter().map(|node| node_json(plan, images, identity, node)).collect(),
    }
}

fn image_json(image: &Image) -> ImageJson {
    ImageJson {
        role: image.role.clone(),
        path: PathBuf::from(&image.file),
        format: image.format,
        size: image.size,
        sha256: image.sha256.clone(),
        content_sha256: image.content_sha256.clone(),
    }
}

fn node_json(plan: &Plan, images: &[Image], identity: Identity, node: &firstboot::schema::Node) -> NodeJson {
    let image = images.iter().find(|image| image.role == node.role);
    let machine = plan.profile.machines.get(&node.name);
    let leads_to_the_api = node.has(Duty::ApiServer) || node.has(Duty::LoadBalancer);
    let ports = if leads_to_the_api { vec![22, PORT] } else { vec![22] };
    NodeJson {
        name: node.name.clone(),
        role: node.role.clone(),
        image: image.map(|image| PathBuf::from(&image.file)).unwrap_or_default(),
        mac: node.mac,
        ip: node.ip,
        pod_cidr: node.pod_cidr,
        cpus: machine.map_or(1, |machine| machine.cpus),
        memory_mib: machine.map_or(1024, |machine| machine.memory_mib),
        disk_mib: machine.and_then(|machine| machine.disk_mib),
        data_disk_mib: plan.profile.options.data_disk.map(|size| size.0),
        duties: node.duties.clone(),
        ports,
        seed: (identity == Identity::Seed).then(|| seed_path(&node.name)),
    }
}
