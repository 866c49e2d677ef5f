//! A role: the recipe of an image, read from `images/<role>/`.
//!
//! A recipe is data: `image.toml` beside the folders `files/` (copied to `/`), `units/` (to /etc/systemd/system) and
//! `node/` (completed by firstboot). `parts` puts other recipes beneath. It does not know where a component's
//! files come from, nor what the base root file system holds.

pub mod addon;
mod identity;
mod overlay;
pub mod packages;
mod render;
pub mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use firstboot::schema::{Duty, Node};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::error::InputError;
use crate::input::{self, nearest};
use crate::lock::format::Arch;
use crate::pki::{Authority, Certificate, Kubeconfig, Secret};
use crate::profile::{Settings, Slots};
pub use addon::Addon;
pub use overlay::{ComponentFile, Components, overlay};
pub use render::{Context, at_least};

/// The folder of a project's roles.
pub const ROLES: &str = "images";

/// The name under which recipes install the release's container images, each as `NAME.tar`.
pub const IMAGES: &str = "images";

/// The file of a recipe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// One line for people.
    pub description: String,
    /// The recipes that this one is laid over, the lowest first; `{runtime}` and other names in braces are slots, which the
    /// profile's options fill.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Where it can be built; everywhere when absent.
    pub architectures: Option<BTreeSet<Arch>>,
    /// Size of the disk in MiB when a node's profile gives none; the outermost recipe's counts.
    pub disk_mib: Option<u64>,
    /// What its nodes do for the cluster, besides what its parts bring along.
    #[serde(default)]
    pub duties: BTreeSet<Duty>,
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
    /// Certificates that its nodes have, with their keys.
    #[serde(default)]
    pub certificate: Vec<Certificate>,
    /// Authorities that its nodes believe.
    #[serde(default)]
    pub authority: Vec<Authority>,
    /// Kubeconfigs that its nodes have.
    #[serde(default)]
    pub kubeconfig: Vec<Kubeconfig>,
    /// Other secrets that its nodes have.
    #[serde(default)]
    pub secret: Vec<Secret>,
    /// Settings of the programs in its images, by program; an outer recipe's count, and the profile's above all.
    #[serde(default)]
    pub settings: Settings,
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
    /// Settings of its programs, once [`settings::resolve`] has given it the profile's. A program without any has an empty table.
    pub settings: Settings,
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
    /// Reads a role's recipe and those beneath it, each once.
    ///
    /// # Errors
    /// [`InputError`] with file, line and key; for an unknown role the nearest one.
    pub fn load(project: &Path, name: &str, slots: &Slots) -> Result<Self, InputError> {
        let mut layers = Vec::new();
        lay(project, name, slots, &mut Vec::new(), &mut layers)?;
        Ok(Self { name: name.to_owned(), layers, settings: Settings::new() })
    }

    /// The role of a node, of some roles.
    #[must_use]
    pub fn of<'a>(roles: &'a [Self], node: &Node) -> Option<&'a Self> {
        roles.iter().find(|role| role.name == node.role)
    }

    /// Lays a part over it.
    ///
    /// # Errors
    /// As [`Role::load`].
    pub fn lay_part(&mut self, project: &Path, part: &str, slots: &Slots) -> Result<(), InputError> {
        lay(project, part, slots, &mut Vec::new(), &mut self.layers)
    }

    /// Lays the addons over it when its nodes run pods.
    pub fn lay_addons(&mut self, addons: &[Addon]) {
        if self.has(Duty::Kubelet) {
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

    /// The roots of the lock with the packages of its recipes; that of `base` is always among them.
    #[must_use]
    pub fn package_roots(&self) -> BTreeSet<String> {
        let asking = self.layers.iter().filter(|layer| !layer.image.packages.include.is_empty());
        let roots = asking.map(|layer| packages::root(&layer.name));
        roots.chain([packages::BASE.to_owned()]).collect()
    }

    /// Size of its disk in MiB, when a recipe gives one.
    #[must_use]
    pub fn disk_mib(&self) -> Option<u64> {
        self.layers.iter().rev().find_map(|layer| layer.image.disk_mib)
    }

    /// What its nodes do for the cluster.
    #[must_use]
    pub fn duties(&self) -> BTreeSet<Duty> {
        self.layers.iter().flat_map(|layer| layer.image.duties.iter().copied()).collect()
    }

    /// Whether its nodes have a duty.
    #[must_use]
    pub fn has(&self, duty: Duty) -> bool {
        self.layers.iter().any(|layer| layer.image.duties.contains(&duty))
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

/// Puts a recipe with those beneath it above the `layers` that there are. `above` are the recipes that lead to it.
fn lay(
    project: &Path,
    name: &str,
    slots: &Slots,
    above: &mut Vec<String>,
    layers: &mut Vec<Layer>,
) -> Result<(), InputError> {
    if layers.iter().any(|layer| layer.name == name) {
        return Ok(());
    }
    let images = project.join(ROLES);
    let path = recipe(project, name);
    let wrong = |message: String, hint: String| InputError::Wrong {
        path: path.clone(),
        line: 1,
        message,
        hint: Some(hint),
    };
    if above.iter().any(|other| other == name) {
        let slots: Vec<String> =
            slots.iter().map(|(slot, part)| format!("`{{{slot}}}` is `{part}`")).collect();
        let hint = format!("by the profile's options {}", slots.join(", "));
        return Err(wrong(format!("`parts` leads back to `{name}`"), hint));
    }
    let text = input::read(&path, || missing(&images, &path, name))?;
    let image: Image = input::parse(&path, &text)?;
    above.push(name.to_owned());
    for part in &image.parts {
        let part = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            None => part,
            Some(slot) => slots.get(slot).ok_or_else(|| {
                let known: Vec<String> = slots.keys().map(|slot| format!("{{{slot}}}")).collect();
                wrong(
                    format!("`parts`: there is no slot `{part}`"),
                    format!("there are: {}", known.join(", ")),
                )
            })?,
        };
        lay(project, part, slots, above, layers)?;
    }
    above.pop();
    layers.push(Layer { name: name.to_owned(), folder: images.join(name), path: path.clone(), image });
    Ok(())
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
