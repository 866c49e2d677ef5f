//! The pipeline of `builder build`: one line per stage, in the only order that compiles.

use std::fs::File;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::deb::roots;
use crate::disk::Encoding;
use crate::ground::error::Result;
use crate::ground::parallel;
use crate::ground::progress::Progress;
use crate::identity::cluster::{self, Identities};
use crate::identity::seed;
use crate::mirror::Mirrors;
use crate::pki::Pki;
use crate::pki::secret::{self, ClusterSecret, SecretError};
use crate::plan::Plan;
use crate::profile::Identity;
use crate::results::image::Image;
use crate::results::images_lock::{ImagesLock, Of, OnRecord};
use crate::results::publish::FreshSet;
use crate::results::{report, unchanged};
use crate::sbom;
use crate::stage::disk::Disk;
use crate::stage::fetched::Fetched;
use crate::stage::{base, component, disk, image, stock, tree};
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
    /// How the images are written.
    pub encoding: Encoding,
    /// Where packages come from.
    pub mirrors: Mirrors,
    /// Forbids the network.
    pub offline: bool,
    /// Refuses to make other images than `images.lock` has.
    pub frozen: bool,
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
    let secret_file = secret_file(plan, settings.secret.as_deref());
    let inputs =
        unchanged::inputs(plan, (settings.identity, settings.encoding), &settings.store, &secret_file)?;
    let folder = settings.out.join(&plan.profile.name);
    let record = on_record(plan, settings.frozen)?;
    if let Some(images) = unchanged::since(&folder, &inputs) {
        let found = images.iter().map(|image| (image.role.clone(), image.content_sha256.clone()));
        let found = found.collect();
        record.iter().try_for_each(|record| record.check(&found))?;
        return Ok(Built { folder, images });
    }
    // What is wrong with identities is told before anything is fetched, and a secret is made when all else is.
    let known = known(plan, settings.secret.as_deref())?;
    let stand_in = ClusterSecret::from_bytes([0; 32]);
    let early = Identities::of(plan, settings.identity, known.as_ref().unwrap_or(&stand_in))?;
    let store = Store::open(&settings.store)?;
    let fetched = Fetched::all(plan, &store, &settings.mirrors, settings.offline, progress)?;
    let tools = roots::tools(&store, &plan.lock, plan.arch, progress)?;
    let (components, bases) = parallel::both(|| component::gather(fetched), || base::all(fetched, &tools))?;
    let trees = tree::trees(plan, &components)?;
    let stocks = stock::all(fetched, &tools, &bases, &trees)?;
    let disks = disk::all(fetched, &tools, stocks, &trees)?;
    record.iter().try_for_each(|record| frozen(record, &disks, &store))?;
    let identities = match known {
        Some(_) => early,
        None => Identities::of(plan, settings.identity, &to_have(plan, settings.secret.as_deref())?)?,
    };
    let _alone = alone(&folder)?;
    let set = FreshSet::begin(&folder)?;
    let images = image::finish(fetched, &tools, &disks, &identities.partitions, settings.encoding, &set)?;
    seed::write(set.folder(), &identities.seeds)?;
    let how = (settings.identity, settings.encoding);
    report::write(plan, set.folder(), &images, how, &identities.admin)?;
    sbom::write(plan, &store, (&components, &bases), (set.folder(), &images))?;
    set.publish()?;
    unchanged::remember(&folder, inputs, &images, identities.seeds.keys())?;
    Ok(Built { folder, images })
}

/// What `images.lock` has of the images, when no others may be made.
fn on_record(plan: &Plan, is_frozen: bool) -> Result<Option<OnRecord>> {
    let load = || -> Result<OnRecord> { Ok(ImagesLock::load(&plan.project)?.of(Of::plan(plan))?) };
    is_frozen.then(load).transpose()
}

/// Refuses disks that are not those on record, before an image is written.
fn frozen(record: &OnRecord, disks: &[Disk], store: &Store) -> Result<()> {
    let hash = |disk: &Disk| Ok((disk.role.clone(), disk.content_sha256(store)?));
    let found = parallel::map(disks, hash).into_iter().collect::<Result<_>>()?;
    Ok(record.check(&found)?)
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
    cluster::seed(plan, &to_have(plan, secret)?, node)
}

/// The certificates of a cluster that has its secret already.
///
/// # Errors
/// When there is no secret, or no certificates can be made.
pub fn existing_pki(plan: &Plan, secret: Option<&Path>) -> Result<Pki> {
    cluster::pki(plan, &ClusterSecret::load(&secret_file(plan, secret))?)
}

/// Where the cluster secret is: the caller's file, or the project's own.
pub(crate) fn secret_file(plan: &Plan, given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| secret::path(&plan.project, &plan.cluster.name), Path::to_owned)
}

/// The cluster secret: the caller's, or the project's own, made by whoever needs it first.
fn to_have(plan: &Plan, given: Option<&Path>) -> Result<ClusterSecret> {
    let file = secret_file(plan, given);
    Ok(if given.is_some() { ClusterSecret::load(&file)? } else { ClusterSecret::load_or_create(&file)? })
}

/// The same as far as it is there: the caller's has to be.
fn known(plan: &Plan, given: Option<&Path>) -> Result<Option<ClusterSecret>> {
    match ClusterSecret::load(&secret_file(plan, given)) {
        Err(SecretError::Missing(_)) if given.is_none() => Ok(None),
        secret => Ok(Some(secret?)),
    }
}
