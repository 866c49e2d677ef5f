//! A role: the recipe of an image, read from `images/<role>/`.
//!
//! A recipe is data: `image.toml` beside the folders `files/` (copied to `/`), `units/` (to /etc/systemd/system) and
//! `node/` (completed by firstboot). `extends` puts another recipe beneath. It does not know where a component's
//! files come from, nor what the base root file system holds.

pub mod addon;
mod overlay;
pub mod packages;
mod render;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::error::InputError;
use crate::input::{self, nearest};
use crate::lock::format::Arch;
pub use addon::Addon;
pub use overlay::{ComponentFile, Components, overlay};
pub use render::{Context, at_least};

/// The folder of a project's roles.
pub const ROLES: &str = "images";

/// The name under which recipes install the release's container images, each as `NAME.tar`.
pub const IMAGES: &str = "images";

/// Stands in `extends` for the recipe of the profile's container runtime.
const RUNTIME: &str = "{runtime}";

/// The file of a recipe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// One line for people.
    pub description: String,
    /// The recipe that this one is laid over; `{runtime}` is that of the profile's container runtime.
    pub extends: Option<String>,
    /// Where it can be built; everywhere when absent.
    pub architectures: Option<BTreeSet<Arch>>,
    /// Size of the disk in MiB when a node's profile gives none; the outermost recipe's counts.
    pub disk_mib: Option<u64>,
    /// Whether its nodes run the API server and etcd. A recipe that extends such a one is one too.
    #[serde(default)]
    pub control_plane: bool,
    /// Whether its nodes run pods, so that the addons are laid over it. A recipe that extends such a one is one too.
    #[serde(default)]
    pub pods: bool,
    /// Labels of its nodes' Node objects; those of the outermost recipe that has any count.
    pub labels: Option<BTreeMap<String, String>>,
    /// Taints of its nodes' Node objects, `key=value:Effect`; those of the outermost recipe that has any count.
    pub taints: Option<Vec<String>>,
    /// `component:file` (or `component:*`) → destination (a folder when it ends in `/`).
    #[serde(default)]
    pub install: BTreeMap<String, String>,
    /// systemd units.
    #[serde(default)]
    pub units: Units,
    /// Symbolic links.
    #[serde(default)]
    pub link: Vec<Link>,
    /// Paths of the base root file system that the image does not keep; a final `*` stands for any rest.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Modes that differ from 0644 (0755 for what its owner may execute), in octal.
    #[serde(default)]
    pub mode: BTreeMap<String, String>,
    /// Debian packages that the base root file system of its roles has.
    #[serde(default)]
    pub packages: Packages,
    /// What templates see as `values`; an outer recipe's count.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// systemd units of a recipe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Started at boot: each by the targets of its own `[Install]` section.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Never started.
    #[serde(default)]
    pub mask: Vec<String>,
}

/// A symbolic link.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it is.
    pub path: String,
    /// What it points to.
    pub target: String,
}

/// Debian packages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// What is asked for; the lock holds what follows.
    #[serde(default)]
    pub include: Vec<String>,
}

/// A recipe and those beneath it, the lowest first.
#[derive(Debug, Clone)]
pub struct Role {
    /// Name of the outermost recipe.
    pub name: String,
    /// The recipes.
    pub layers: Vec<Layer>,
}

/// One recipe.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name: the path of its folder below [`ROLES`].
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its file.
    pub path: PathBuf,
    /// What stands in it.
    pub image: Image,
}

impl Role {
    /// Reads a role's recipe and those that it extends, with the recipe of a container runtime for `{runtime}`.
    ///
    /// # Errors
    /// [`InputError`] with file, line and key; for an unknown role the nearest one.
    pub fn load(project: &Path, name: &str, runtime: &str) -> Result<Self, InputError> {
        let images = project.join(ROLES);
        let mut layers: Vec<Layer> = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(current) = next {
            let folder = images.join(&current);
            let path = recipe(project, &current);
            if layers.iter().any(|layer| layer.name == current) {
                let message = format!("`extends` leads back to `{current}`");
                let is_runtime = layers.iter().any(|layer| layer.image.extends.as_deref() == Some(RUNTIME));
                let hint =
                    format!("`options.runtime` of the profile is `{runtime}`: name one like `containerd`");
                return Err(InputError::Wrong { path, line: 1, message, hint: is_runtime.then_some(hint) });
            }
            let text = input::read(&path, || missing(&images, &path, &current))?;
            let image: Image = input::parse(&path, &text)?;
            next = match image.extends.as_deref() {
                Some(RUNTIME) => Some(runtime.to_owned()),
                below => below.map(str::to_owned),
            };
            layers.push(Layer { name: current, folder, path, image });
        }
        layers.reverse();
        Ok(Self { name: name.to_owned(), layers })
    }

    /// Lays a part over it: a recipe that extends nothing.
    ///
    /// # Errors
    /// As [`Role::load`].
    pub fn lay_part(&mut self, project: &Path, part: &str) -> Result<(), InputError> {
        self.layers.extend(Self::load(project, part, "")?.layers);
        Ok(())
    }

    /// Lays the addons over it when its nodes run pods.
    pub fn lay(&mut self, addons: &[Addon]) {
        if self.runs_pods() {
            self.layers.extend(addons.iter().map(Addon::layer));
        }
    }

    /// The components that it installs files of.
    #[must_use]
    pub fn components(&self) -> BTreeSet<String> {
        let sources = self.layers.iter().flat_map(|layer| layer.image.install.keys());
        sources.filter_map(|source| source.split(':').next()).map(str::to_owned).collect()
    }

    /// The files of components that it installs: component and name, which may be `*`.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        let sources = self.layers.iter().flat_map(|layer| layer.image.install.keys());
        sources.filter_map(|source| source.split_once(':'))
    }

    /// Whether it installs a container image of the release.
    #[must_use]
    pub fn has_image(&self, name: &str) -> bool {
        self.files().any(|(component, file)| {
            component == IMAGES && (file == "*" || file.strip_suffix(".tar") == Some(name))
        })
    }

    /// The roots of the lock with the packages of its recipes.
    #[must_use]
    pub fn package_roots(&self) -> BTreeSet<String> {
        let layers = self
            .layers
            .iter()
            .filter(|layer| layer.name == packages::BASE || !layer.image.packages.include.is_empty());
        layers.map(|layer| packages::root(&layer.name)).collect()
    }

    /// Size of its disk in MiB, when a recipe gives one.
    #[must_use]
    pub fn disk_mib(&self) -> Option<u64> {
        self.layers.iter().rev().find_map(|layer| layer.image.disk_mib)
    }

    /// Whether its nodes run the API server and etcd.
    #[must_use]
    pub fn is_control_plane(&self) -> bool {
        self.layers.iter().any(|layer| layer.image.control_plane)
    }

    /// Whether its nodes run pods.
    #[must_use]
    pub fn runs_pods(&self) -> bool {
        self.layers.iter().any(|layer| layer.image.pods)
    }

    /// Labels of its nodes' Node objects.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.layers.iter().rev().find_map(|layer| layer.image.labels.clone()).unwrap_or_default()
    }

    /// Taints of its nodes' Node objects.
    #[must_use]
    pub fn taints(&self) -> Vec<String> {
        self.layers.iter().rev().find_map(|layer| layer.image.taints.clone()).unwrap_or_default()
    }

    /// What its templates see as `values`.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, String> {
        let values = self.layers.iter().flat_map(|layer| &layer.image.values);
        values.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The paths of the base that it drops.
    #[must_use]
    pub fn removals(&self) -> Vec<&str> {
        self.layers.iter().flat_map(|layer| &layer.image.remove).map(String::as_str).collect()
    }
}

impl Layer {
    /// The name of its file.
    fn file(&self) -> std::borrow::Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// Where a role's recipe is.
#[must_use]
pub fn recipe(project: &Path, name: &str) -> PathBuf {
    project.join(ROLES).join(name).join("image.toml")
}

fn missing(images: &Path, path: &Path, name: &str) -> InputError {
    let names = recipes(images);
    let list = names.join(", ");
    let hint = match nearest(name, names.iter().map(String::as_str)) {
        Some(close) => format!("did you mean `{close}`? the recipes are: {list}"),
        None => format!("the recipes are: {list}"),
    };
    InputError::Missing { what: "role recipe", path: path.to_owned(), hint }
}

/// The names of the recipes in a folder, sorted.
fn recipes(images: &Path) -> Vec<String> {
    let folders = fs::read_dir(images).into_iter().flatten().flatten().map(|entry| entry.path());
    let recipes = folders.filter(|folder| folder.join("image.toml").exists());
    let mut names: Vec<String> =
        recipes.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}
