//! What a build will do, decided before it touches anything: the profile with a release of the lock, the roles and
//! the files that must be had.

mod inputs;
mod roles;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use firstboot::schema::{self, Duty};

use crate::error::{Class, Error, Explain, InputError, Result};
use crate::input::nearest;
use crate::lock::format::{Arch, Component, ContainerImage, Lock, Release};
use crate::pki::{self, Certificate};
use crate::profile::Profile;
use crate::role::{Addon, Role, addon, packages, settings};
use crate::unchanged::Looks;
use inputs::roots;
pub use inputs::{build_items, root_items};
use roles::{check_duties, check_roles, load_role};

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
}

/// Everything about a build that its inputs decide.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Kiln's folder.
    pub project: PathBuf,
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
    pub(crate) looks: Looks,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The lock has no such release.
    #[error("there is no release `{name}` in the lockfile")]
    UnknownRelease {
        /// What was asked for.
        name: String,
        /// What there is.
        hint: String,
    },
    /// A role is not for this architecture.
    #[error("the role `{role}` cannot be built for {arch}")]
    Architecture {
        /// The role.
        role: String,
        /// What was asked for.
        arch: Arch,
    },
    /// The lock has no packages for this architecture.
    #[error("the lockfile has no packages of the root `{root}` for {arch}, which images of {images} need")]
    NoPackages {
        /// The root.
        root: String,
        /// Of which architecture they are.
        arch: Arch,
        /// What was asked for.
        images: Arch,
    },
    /// The lock was not updated since a recipe asks for packages.
    #[error(
        "the lockfile has no root `{root}`, which a recipe of the role `{role}` asks for by its `packages`"
    )]
    NoRoot {
        /// The root.
        root: String,
        /// The role.
        role: String,
    },
    /// The release lacks a component that a role installs.
    #[error("the release `{release}` has no component `{component}`, which the role `{role}` installs")]
    NoComponent {
        /// The release.
        release: String,
        /// What it lacks.
        component: String,
        /// Who wants it.
        role: String,
        /// The last release that has it.
        newest: Option<String>,
    },
    /// A component lacks a file that a role installs.
    #[error(
        "the component `{component}` of the release `{release}` has no `{file}` for {arch}, which the role `{role}` installs"
    )]
    NoFile {
        /// The release.
        release: String,
        /// The component.
        component: String,
        /// What it lacks.
        file: String,
        /// What was asked for.
        arch: Arch,
        /// Who wants it.
        role: String,
        /// The build that makes the component.
        build: Option<String>,
    },
}

impl Explain for PlanError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownRelease { hint, .. } => Some(hint.clone()),
            Self::Architecture { .. } => Some("build with `--arch amd64`".to_owned()),
            Self::NoPackages { root, arch, .. } => Some(format!(
                "add `{arch}` to `architectures` of `[root.{root}]`, then `builder lock update`"
            )),
            Self::NoRoot { .. } => Some(format!("builder lock update {}", packages::BASE)),
            Self::NoComponent { newest, .. } => {
                newest.as_ref().map(|it| format!("build with `--release {it}`"))
            }
            Self::NoFile { build, arch, .. } => {
                build.as_ref().map(|build| format!("builder lock compile {build} --arch {arch}"))
            }
        }
    }
}

impl Plan {
    /// Resolves a request against the files of the project. Reads them and touches nothing else.
    ///
    /// # Errors
    /// Whatever is wrong with the caller's input, by file, line and key.
    pub fn resolve(request: &Request) -> Result<Self> {
        let looks = Looks::before(request);
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
                roles.push(load_role(&request.project, &profile, &node.role, *line)?);
            }
        }
        let addons = addon::chosen(&request.project, &profile, &lock, &name)?;
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
                    role.lay_part(&request.project, part, &slots)?;
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
        pki::check(&cluster, certificates(&cluster, &roles))?;
        Ok(Self {
            project: request.project.clone(),
            profile,
            cluster,
            lock,
            lockfile: request.lockfile.clone(),
            release,
            roles,
            addons,
            arch: request.arch,
            looks,
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

/// A release that is not in the lock: `profile` is the one that asks for it, when it is not the command line.
pub(crate) fn unknown_release(lock: &Lock, name: String, profile: Option<&Profile>) -> Error {
    let names: Vec<&str> = lock.release.keys().map(String::as_str).collect();
    let list = names.join(", ");
    let hint = match nearest(&name, names.iter().copied()) {
        Some(close) => format!("did you mean `{close}`? there are: {list}"),
        None => format!("there are: {list}"),
    };
    match profile {
        Some(Profile { path, lines, release: Some(_), .. }) => {
            let message = format!("`release` `{name}` is not in the lockfile");
            InputError::Wrong { path: path.clone(), line: lines.release, message, hint: Some(hint) }.into()
        }
        _ => PlanError::UnknownRelease { name, hint }.into(),
    }
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

/// The root of the lock that holds `up`'s QEMU for machines like this one.
pub const QEMU: &str = "qemu";

/// The root of the lock that holds the tools of a build.
pub const TOOLS: &str = "tools";

/// The root of the lock with what runs programs of other architectures.
pub const EMULATOR: &str = "emulator";

/// The root of the lock with the parts of GRUB for other architectures: data, whatever its packages are for.
pub const GRUB: &str = "grub";

/// The root of the lock that holds `up`'s QEMU for machines of an architecture.
#[must_use]
pub fn qemu(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => QEMU,
        Arch::Arm64 => "qemu-arm64",
    }
}

/// The lockfile of a project.
#[must_use]
pub fn lockfile(project: &Path) -> PathBuf {
    project.join("lockfile.toml")
}
