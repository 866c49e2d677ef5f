//! A role: a recipe with those beneath it, the parts that options add and the addons.

use std::collections::{BTreeMap, BTreeSet};

use firstboot::schema::{Duty, Node};

use crate::ground::error::InputError;
use crate::profile::{Settings, Slots};
use crate::role::addon::Addon;
use crate::role::packages;
use crate::role::recipe::{IMAGES, Layer, Recipes, lay};

/// A recipe and those beneath it, the lowest first.
#[derive(Debug, Clone)]
pub struct Role {
    /// Name of the outermost recipe.
    pub name: String,
    /// The recipes.
    pub layers: Vec<Layer>,
    /// Settings of its programs, once [`settings::resolve`](crate::role::settings::resolve) has given it the profile's. A program without any has an empty table.
    pub settings: Settings,
}

impl Role {
    /// Reads a role's recipe and those beneath it, each once.
    ///
    /// # Errors
    /// [`InputError`] with file, line and key; for an unknown role the nearest one.
    pub fn load(recipes: &Recipes, name: &str, slots: &Slots) -> Result<Self, InputError> {
        let mut layers = Vec::new();
        lay(recipes, name, slots, &mut Vec::new(), &mut layers)?;
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
    pub fn lay_part(&mut self, recipes: &Recipes, part: &str, slots: &Slots) -> Result<(), InputError> {
        lay(recipes, part, slots, &mut Vec::new(), &mut self.layers)
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
