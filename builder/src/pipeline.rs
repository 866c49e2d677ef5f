//! The pipeline of `builder build`: one line per stage, in the only order that compiles.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use firstboot::schema::Node;
use fs_err as fs;

use crate::deb::roots;
use crate::go;
use crate::go::GoBuild;
use crate::ground::error::Result;
use crate::ground::parallel;
use crate::ground::progress::Progress;
use crate::identity::seed;
use crate::identity::seed::SeedError;
use crate::identity::{self, IdentityFile};
use crate::mirror::Mirrors;
use crate::pki::PkiOptions;
use crate::pki::secret::{self, ClusterSecret};
use crate::pki::{Encryption as PkiEncryption, Issued, Pki};
use crate::plan::Plan;
use crate::profile::{Encryption, Identity};
use crate::results::image::Image;
use crate::results::publish::FreshSet;
use crate::results::report;
use crate::results::report::Admin;
use crate::results::unchanged;
use crate::stage::{base, component, disk, image, source, stock, tree};
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
    /// Where the nodes' identities go.
    pub identity: Identity,
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
    let secret_file =
        settings.secret.clone().unwrap_or_else(|| secret::path(&plan.project, &plan.cluster.name));
    let looks = unchanged::inputs(plan, settings.identity, &settings.store, &secret_file)?;
    let folder = settings.out.join(&plan.profile.name);
    if let Some(images) = unchanged::since(&folder, &looks) {
        return Ok(Built { folder, images });
    }
    // The caller's secret is input: it is read before anything is written.
    let given = settings.secret.as_deref().map(ClusterSecret::load).transpose()?;
    let store = Store::open(&settings.store)?;
    crate::fetch::local::admit(&store, &plan.local_files())?;
    crate::fetch::fetch(&store, plan.items(&settings.mirrors), settings.offline, progress)?;
    crate::oci::fetch(&store, &plan.registry_images(&settings.mirrors), settings.offline, progress)?;
    go::fetch(&plan.project, &store, &plan.lock, &go_builds(plan, &store)?, settings.offline, progress)?;
    let tools = roots::tools(&store, &plan.lock, plan.arch, progress)?;
    let (components, bases) = parallel::both(
        || component::gather(plan, &store, progress),
        || base::all(plan, &store, &tools, progress),
    )?;
    let trees = tree::trees(plan, &components)?;
    let stocks = stock::all(plan, &store, &tools, (&bases, &trees), progress)?;
    let disks = disk::all(plan, &store, &tools, stocks, &trees, progress)?;
    let identities = identities(plan, settings.identity, &pki(plan, given)?)?;
    let _alone = alone(&folder)?;
    let set = FreshSet::begin(&folder)?;
    let images = image::finish(&store, &tools, &disks, &identities.partitions, &set, progress)?;
    seed::write(set.folder(), &identities.seeds)?;
    report::write(plan, set.folder(), &images, settings.identity, &identities.admin)?;
    set.publish()?;
    unchanged::remember(&folder, looks, &images, identities.seeds.keys())?;
    Ok(Built { folder, images })
}

/// The builds of Go modules that were not made before: their modules are needed.
fn go_builds<'a>(plan: &'a Plan, store: &Store) -> Result<Vec<GoBuild<'a>>> {
    let mut builds = Vec::new();
    for build in plan.go_builds() {
        let key = source::key(&plan.project, &plan.lock, (build.name, build.build), plan.arch)?;
        go::check_recipe(&plan.project, build)?;
        if store.made(&key).is_none() {
            builds.push(build);
        }
    }
    Ok(builds)
}

/// Makes a folder of results, for this build alone until the lock is dropped: another one of the same profile waits.
fn alone(folder: &Path) -> std::io::Result<File> {
    fs::create_dir_all(folder)?;
    let folder = fs::File::open(folder)?.into_parts().0;
    folder.lock()?;
    Ok(folder)
}

/// The NoCloud volume of one node, with its identity from the same secret as that of a build.
///
/// # Errors
/// When the profile has no such node, or the secret cannot be had.
pub fn seed(plan: &Plan, secret: Option<&Path>, node: &str) -> Result<Vec<u8>> {
    let Some(found) = plan.cluster.nodes.iter().find(|known| known.name == node) else {
        let nodes = plan.cluster.nodes.iter().map(|node| node.name.clone()).collect();
        return Err(SeedError { profile: plan.profile.name.clone(), node: node.to_owned(), nodes }.into());
    };
    let pki = pki(plan, secret.map(ClusterSecret::load).transpose()?)?;
    volume(plan, &pki, found)
}

/// The certificates of a cluster that has its secret already.
///
/// # Errors
/// When there is no secret, or no certificates can be made.
pub fn existing_pki(plan: &Plan, secret: Option<&Path>) -> Result<Pki> {
    let own = secret::path(&plan.project, &plan.cluster.name);
    pki(plan, Some(ClusterSecret::load(secret.unwrap_or(&own))?))
}

/// The cluster secret: the caller's, or the project's own, made by the first build.
fn secret(plan: &Plan, given: Option<ClusterSecret>) -> Result<ClusterSecret> {
    Ok(match given {
        Some(secret) => secret,
        None => ClusterSecret::load_or_create(&secret::path(&plan.project, &plan.cluster.name))?,
    })
}

/// What only this cluster has.
struct Identities {
    /// The identity partition by role; none for seeds.
    partitions: BTreeMap<String, Vec<u8>>,
    /// The NoCloud volume by node; none when the images have the identities.
    seeds: BTreeMap<String, Vec<u8>>,
    admin: Admin,
}

fn pki(plan: &Plan, given: Option<ClusterSecret>) -> Result<Pki> {
    let mut options = PkiOptions::new(plan.lock.epoch);
    options.encryption = match plan.profile.options.encryption {
        Encryption::Aescbc => PkiEncryption::Aescbc,
        Encryption::Secretbox => PkiEncryption::Secretbox,
    };
    options.api_server_names.clone_from(&plan.profile.api.names);
    Ok(Pki::derive(&secret(plan, given)?, &plan.cluster, plan.certificates(), &options)?)
}

fn identities(plan: &Plan, kind: Identity, pki: &Pki) -> Result<Identities> {
    let (mut partitions, mut seeds) = (BTreeMap::new(), BTreeMap::new());
    match kind {
        Identity::Baked => {
            for role in &plan.roles {
                let nodes = plan.cluster.nodes.iter().filter(|node| node.role == role.name);
                let files = nodes.map(|node| of_node(plan, pki, node)).collect::<Result<Vec<_>>>()?;
                let room = crate::disk::layout::IDENTITY_SIZE;
                partitions.insert(role.name.clone(), identity::partition(&files, plan.lock.epoch, room)?);
            }
        }
        Identity::Seed => {
            for node in &plan.cluster.nodes {
                seeds.insert(node.name.clone(), volume(plan, pki, node)?);
            }
        }
    }
    let admin = Admin {
        kubeconfig: identity::admin_kubeconfig(pki, &plan.profile.api.outside)?,
        ssh_key: pki.ssh().private.clone(),
        certificates_end: pki.first_to_end().map(Issued::ends),
    };
    Ok(Identities { partitions, seeds, admin })
}

fn of_node(plan: &Plan, pki: &Pki, node: &Node) -> Result<(String, Vec<IdentityFile>)> {
    let files = plan.role_of(node).map(|role| identity::files(pki, &plan.profile.api.endpoint, node, role));
    Ok((node.name.clone(), files.transpose()?.unwrap_or_default()))
}

fn volume(plan: &Plan, pki: &Pki, node: &Node) -> Result<Vec<u8>> {
    let stream = identity::stream(&[of_node(plan, pki, node)?], plan.lock.epoch)?;
    Ok(seed::volume(&plan.cluster, node, &stream, plan.lock.epoch)?)
}
