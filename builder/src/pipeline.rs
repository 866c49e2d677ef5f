//! The pipeline of `builder build`: one line per stage, in the only order that compiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::error::Result;
use crate::identity;
use crate::mirror::Mirrors;
use crate::pki::{Encryption as PkiEncryption, Pki, PkiOptions};
use crate::plan::{Plan, TOOLS};
use crate::profile::Encryption;
use crate::progress::Progress;
use crate::report::{self, Admin};
use crate::secret::ClusterSecret;
use crate::stage::image::Image;
use crate::stage::{base, component, disk, image, roots, tree};
use crate::store::Store;

/// Where a build reads and writes besides its plan.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The store.
    pub store: PathBuf,
    /// The folder above the profile's own.
    pub out: PathBuf,
    /// The cluster secret; `secrets/<cluster>.key` of the project when absent.
    pub secret: Option<PathBuf>,
    /// Where packages come from.
    pub mirrors: Mirrors,
    /// Forbids the network.
    pub offline: bool,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// The profile's output folder.
    pub folder: PathBuf,
    /// The images, in the order of the profile's first use.
    pub images: Vec<Image>,
}

/// Builds the images of a plan.
///
/// # Errors
/// The first stage that fails; the output folder is then as it was before.
pub fn build(plan: &Plan, settings: &Settings, progress: &Progress) -> Result<Built> {
    // The caller's secret is input: it is read before anything is written.
    let given = settings.secret.as_deref().map(ClusterSecret::load).transpose()?;
    let store = Store::open(&settings.store)?;
    crate::fetch::local::admit(&store, &plan.local_files())?;
    crate::fetch::fetch(&store, plan.items(&settings.mirrors), settings.offline, progress)?;
    let tools = roots::unpack(&store, &plan.lock, TOOLS, plan.arch, progress)?;
    let components = component::gather(plan, &store, progress)?;
    let base = base::make(&plan.project, &store, &plan.lock, &tools, plan.arch, progress)?;
    let trees = tree::trees(plan, &components)?;
    let disks = disk::all(plan, &store, &tools, &base, &trees, progress)?;
    let identities = identities(plan, &secret(plan, given)?)?;
    let folder = output_folder(plan, settings)?;
    let images = image::finish(&tools, &disks, &identities.partitions, &folder, progress)?;
    report::write(plan, &folder, &images, &identities.admin)?;
    Ok(Built { folder, images })
}

/// The cluster secret: the caller's, or the project's own, made by the first build.
fn secret(plan: &Plan, given: Option<ClusterSecret>) -> Result<ClusterSecret> {
    Ok(match given {
        Some(secret) => secret,
        None => ClusterSecret::load_or_create(&secret_path(&plan.project, &plan.cluster.name))?,
    })
}

/// Where the project keeps the secret of a cluster.
#[must_use]
pub fn secret_path(project: &Path, cluster: &str) -> PathBuf {
    project.join("secrets").join(format!("{cluster}.key"))
}

/// What only this cluster has.
struct Identities {
    /// The identity partition by role.
    partitions: BTreeMap<String, Vec<u8>>,
    admin: Admin,
}

fn identities(plan: &Plan, secret: &ClusterSecret) -> Result<Identities> {
    let mut options = PkiOptions::new(plan.lock.epoch);
    options.encryption = match plan.profile.options.encryption {
        Encryption::Aescbc => PkiEncryption::Aescbc,
        Encryption::Secretbox => PkiEncryption::Secretbox,
    };
    let pki = Pki::derive(secret, &plan.cluster, &options)?;
    let mut partitions = BTreeMap::new();
    for role in &plan.roles {
        let mut files = Vec::new();
        for node in plan.cluster.nodes.iter().filter(|node| node.role == role.name) {
            files.push((node.name.clone(), identity::files(&pki, &plan.cluster, node)?));
        }
        let bytes = identity::partition(&files, plan.lock.epoch, crate::disk::layout::IDENTITY_SIZE)?;
        partitions.insert(role.name.clone(), bytes);
    }
    let admin = Admin {
        kubeconfig: identity::admin_kubeconfig(&pki, &plan.cluster)?,
        ssh_key: pki.ssh().private.clone(),
    };
    Ok(Identities { partitions, admin })
}

fn output_folder(plan: &Plan, settings: &Settings) -> Result<PathBuf> {
    let folder = settings.out.join(&plan.profile.name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
