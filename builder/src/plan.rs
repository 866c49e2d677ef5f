//! What a build will do, decided before it touches anything: the profile with a release of the lock, the roles and
//! the files that must be had.

pub mod advice;
pub mod error;
pub mod inputs;
pub mod materials;
mod pods;
pub(crate) mod roles;
mod roots;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use firstboot::schema::{self, Duty};

use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::stat::Stats;
use crate::lockfile::Lock;
use crate::lockfile::format::{Component, ContainerImage, Release};
use crate::pki::{self, Certificate};
use crate::profile::Profile;
use crate::role::{Addon, Context, Recipes, Role, addon, own_files, settings};
pub use error::PlanError;
use roles::{check_duties, check_roles, load_role, unknown_release};
use roots::roots;

/// What the caller asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Kiln's folder: `lockfile.toml`, `profiles/`, `images/`, `recipes/`.
    pub project: PathBuf,
    /// Name or path of a profile.
    pub profile: String,
    /// Release of the lock; the profile's or the lock's default when absent.
    pub release: Option<String>,
    /// Architecture of the images.
    pub arch: Arch,
    /// The lockfile.
    pub lockfile: PathBuf,
    /// A site's folder of recipes, beside Kiln's.
    pub images: Option<PathBuf>,
}

/// Everything about a build that its inputs decide.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Kiln's folder.
    pub project: PathBuf,
    /// Where its recipes are.
    pub recipes: Recipes,
    /// The profile.
    pub profile: Profile,
    /// The cluster as its nodes see it, with the release's name.
    pub cluster: schema::Cluster,
    /// The lock.
    pub lock: Lock,
    /// The lock's file; the relative paths in it start at its folder.
    pub lockfile: PathBuf,
    /// The chosen release.
    pub release: Release,
    /// The roles of the nodes, in the order of first use, with the addons over those whose nodes run pods.
    pub roles: Vec<Role>,
    /// What runs in the cluster besides, by name.
    pub addons: Vec<Addon>,
    /// Architecture of the images.
    pub arch: Arch,
    /// How its files looked before they were read: whatever changes later is a change.
    pub(crate) stats: Stats,
}

impl Plan {
    /// Resolves a request against the files of the project. Reads them and touches nothing else.
    ///
    /// # Errors
    /// Whatever is wrong with the caller's input, by file, line and key.
    pub fn resolve(request: &Request) -> Result<Self> {
        let recipes = Recipes::of(&request.project, request.images.as_deref());
        let stats = sources::stats(&request.project, &recipes, &request.profile, &request.lockfile);
        recipes.check()?;
        let profile = Profile::load(&request.project, &request.profile)?;
        let lock = Lock::load(&request.lockfile)?;
        let name =
            request.release.as_ref().or(profile.release.as_ref()).unwrap_or(&lock.default_release).clone();
        let release = match lock.release.get(&name) {
            Some(release) => release.for_arch(request.arch),
            None => return Err(unknown_release(&lock, name, request.release.is_none().then_some(&profile))),
        };
        let mut roles: Vec<Role> = Vec::new();
        for (node, line) in profile.cluster.nodes.iter().zip(&profile.lines.roles) {
            if !roles.iter().any(|role| role.name == node.role) {
                roles.push(load_role(&recipes, &profile, &node.role, *line)?);
            }
        }
        let addons = addon::chosen(&recipes, &profile, &lock, &name)?;
        let (slots, options) = (profile.options.slots(), &profile.options);
        let balanced = roles.iter().any(|role| role.has(Duty::LoadBalancer));
        let front = if balanced { Duty::LoadBalancer } else { Duty::ApiServer };
        for role in &mut roles {
            for (part, has) in [
                (DATA_DISK, options.data_disk.is_some()),
                (ETCD_SNAPSHOTS, options.etcd_snapshots.is_some() && role.has(Duty::Etcd)),
                (VIRTUAL_ADDRESS, profile.api.virtual_address.is_some() && role.has(front)),
            ] {
                if has {
                    role.lay_part(&recipes, part, &slots)?;
                }
            }
            role.lay_addons(&addons);
            role.check_identities()?;
        }
        settings::resolve(&profile, &mut roles)?;
        check_packages(&lock, &roles, request.arch)?;
        check_roles(&roles, &lock, (&name, &release), request.arch)?;
        let mut cluster = schema::Cluster { release: name, ..profile.cluster.clone() };
        for node in &mut cluster.nodes {
            node.duties = Role::of(&roles, node).map(Role::duties).unwrap_or_default();
        }
        check_duties(&profile, &cluster)?;
        pods::share_out(&profile, &mut cluster)?;
        pki::check(&cluster, certificates(&cluster, &roles))?;
        let context = Context::new(&profile, &cluster, &release, &roles, &addons);
        for role in &roles {
            role.check_paths(&own_files(role, &context.of(role))?)?;
        }
        Ok(Self {
            project: request.project.clone(),
            recipes,
            profile,
            cluster,
            lock,
            lockfile: request.lockfile.clone(),
            release,
            roles,
            addons,
            arch: request.arch,
            stats,
        })
    }

    /// Where the relative paths of the lock start.
    #[must_use]
    pub fn lock_folder(&self) -> &Path {
        self.lockfile.parent().unwrap_or(Path::new(""))
    }

    /// The role of a node.
    #[must_use]
    pub fn role_of(&self, node: &schema::Node) -> Option<&Role> {
        Role::of(&self.roles, node)
    }

    /// The certificates that the nodes' recipes ask for.
    pub fn certificates(&self) -> impl Iterator<Item = (&schema::Node, &Certificate)> {
        certificates(&self.cluster, &self.roles)
    }

    /// The components that the roles install.
    #[must_use]
    pub fn components(&self) -> BTreeSet<String> {
        self.roles.iter().flat_map(Role::components).collect()
    }

    /// The components that the roles install, and those that the container images in them are made of.
    #[must_use]
    pub fn used_components(&self) -> BTreeMap<&String, &Component> {
        self.release.used(&self.components(), |image| self.has_image(image))
    }

    /// The release's container images that the roles install, by name.
    pub fn container_images(&self) -> impl Iterator<Item = (&String, &ContainerImage)> {
        self.release.image.iter().filter(|(name, _)| self.has_image(name))
    }

    /// Whether a role installs a container image.
    #[must_use]
    pub fn has_image(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role.has_image(name))
    }
}

/// What each node's recipes ask for.
fn certificates<'a>(
    cluster: &'a schema::Cluster,
    roles: &'a [Role],
) -> impl Iterator<Item = (&'a schema::Node, &'a Certificate)> {
    cluster.nodes.iter().flat_map(|node| {
        let own = Role::of(roles, node).into_iter();
        own.flat_map(Role::certificates).map(move |certificate| (node, certificate))
    })
}

/// The packages that images need: not every lock has those for another architecture than this machine's.
fn check_packages(lock: &Lock, roles: &[Role], images: Arch) -> Result<(), PlanError> {
    for role in roles {
        if let Some(root) = role.package_roots().into_iter().find(|root| !lock.root.contains_key(root)) {
            return Err(PlanError::NoRoot { root, role: role.name.clone() });
        }
    }
    let wanted = roots(roles, images);
    let missing = wanted.into_iter().find(|(root, arch)| lock.packages(root, *arch).next().is_none());
    match missing.filter(|_| images != Arch::HOST) {
        Some((root, arch)) => Err(PlanError::NoPackages { root, arch, images }),
        None => Ok(()),
    }
}

/// The part that roles have when their nodes have data disks.
const DATA_DISK: &str = "data-disk";

/// The part that members of etcd have when they keep copies of its data.
const ETCD_SNAPSHOTS: &str = "etcd-snapshots";

/// The part of those that clients go to, load balancers or else API servers, when one of them holds a virtual address.
const VIRTUAL_ADDRESS: &str = "virtual-address";
