//! An addon: what runs in the cluster without being a part of Kubernetes, read from `images/addons/<addon>/`.
//!
//! It is data as a role's recipe is, laid over every role whose nodes run pods: `addon.toml` beside the folders of a recipe,
//! `manifests/` (applied by the control planes) and `checks/` (run by `check-cluster`). It does not know what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use ipnet::Ipv4Net;
use serde::Deserialize;

use crate::ground::error::InputError;
use crate::ground::input::{self, nearest};
use crate::lockfile::Lock;
use crate::lockfile::format::Release;
use crate::profile::Profile;
use crate::role::recipe::{ADDONS, IMAGES, Image, Layer, ROLES, Recipes, Units};

/// The folder of an addon's objects, and where the control planes find them.
pub(super) const MANIFESTS: &str = "manifests";
pub(super) const APPLIED: &str = "etc/kubernetes/addons";

/// The folder of an addon's checks, and where the control planes find them.
pub(super) const CHECKS: &str = "checks";
pub(super) const RUN: &str = "usr/lib/kiln/checks";

/// Where machines find the archives of container images.
const ARCHIVES: &str = "/usr/lib/kiln/images";

/// The file of an addon.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    /// One line for people.
    description: String,
    /// Whether profiles that name no addons have it, with releases that have its images.
    #[serde(default)]
    default: bool,
    /// The release's container images that its pods run.
    images: BTreeSet<String>,
    /// What templates see as `values`: name → which address of the Service range it is.
    #[serde(default)]
    addresses: BTreeMap<String, u32>,
    /// systemd units.
    #[serde(default)]
    units: Units,
}

/// An addon of a cluster.
#[derive(Debug, Clone)]
pub struct Addon {
    /// Its name: that of its folder.
    pub name: String,
    layer: Layer,
}

impl Addon {
    /// What it lays over a role.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.layer.clone()
    }
}

/// The addon that a layer is of.
pub(super) fn name(layer: &Layer) -> Option<&str> {
    layer.name.strip_prefix(ADDONS)?.strip_prefix('/')
}

/// The addons of a profile with a release of the lock, sorted: those that it names, else the default ones that the release
/// has the images for.
///
/// # Errors
/// [`InputError`] for an addon that is not there, that the release has not the images for, or whose address the Service
/// range has not; and for a wrong `addon.toml`, named by the profile or not.
pub fn chosen(
    recipes: &Recipes,
    profile: &Profile,
    lock: &Lock,
    release: &str,
) -> Result<Vec<Addon>, InputError> {
    let known = all(recipes)?;
    let has = |release: &Release, recipe: &Recipe| {
        recipe.images.iter().all(|image| release.image.contains_key(image))
    };
    let here = lock.release.get(release);
    let Some(named) = &profile.options.addons else {
        let on = |(_, recipe): &(&String, &Recipe)| recipe.default && here.is_some_and(|it| has(it, recipe));
        return known.iter().filter(on).map(|(name, recipe)| made(recipes, profile, name, recipe)).collect();
    };
    let mut addons = BTreeMap::new();
    for (name, line) in named.iter().zip(&profile.lines.addons) {
        let name = name.get_ref();
        let refuse = |message: String, hint: String| {
            Err(InputError::Wrong { path: profile.path.clone(), line: *line, message, hint: Some(hint) })
        };
        let Some(recipe) = known.get(name) else {
            return refuse(
                format!("`options.addons` `{name}` has no recipe in {ROLES}/{ADDONS}/"),
                near(name, &known),
            );
        };
        let lacks = recipe.images.iter().find(|image| !here.is_some_and(|it| it.image.contains_key(*image)));
        if let Some(image) = lacks {
            let having = lock.release.iter().filter(|(_, it)| has(it, recipe)).map(|(name, _)| name.as_str());
            let having: Vec<&str> = having.collect();
            let hint = match having.is_empty() {
                true => format!("add `[release.{release}.image.{image}]` to the lockfile"),
                false => format!("releases that have all of its images: {}", having.join(", ")),
            };
            let message = format!(
                "`options.addons` `{name}`: the release `{release}` has no container image `{image}`"
            );
            return refuse(message, hint);
        }
        addons.insert(name, made(recipes, profile, name, recipe)?);
    }
    Ok(addons.into_values().collect())
}

/// Every addon, by name.
fn all(recipes: &Recipes) -> Result<BTreeMap<String, Recipe>, InputError> {
    let mut found = BTreeMap::new();
    let folders = recipes.folders().map(|folder| folder.join(ADDONS));
    for entry in folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten()) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = file(recipes, &name);
        if !entry.path().is_dir() {
            continue;
        }
        let missing = || InputError::Missing {
            what: "file of an addon",
            path: path.clone(),
            hint: "docs/how-to/add-an-addon.md says what belongs into it".to_owned(),
        };
        let recipe: Recipe = input::parse(&path, &input::read(&path, missing)?)?;
        found.insert(name, recipe);
    }
    Ok(found)
}

fn file(recipes: &Recipes, name: &str) -> PathBuf {
    recipes.folder(&format!("{ADDONS}/{name}")).join("addon.toml")
}

fn near(name: &str, known: &BTreeMap<String, Recipe>) -> String {
    let list = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match nearest(name, known.keys().map(String::as_str)) {
        Some(close) => format!("did you mean `{close}`? the addons are: {list}"),
        None => format!("the addons are: {list}"),
    }
}

/// The addon of a recipe in the cluster of a profile.
fn made(recipes: &Recipes, profile: &Profile, name: &str, recipe: &Recipe) -> Result<Addon, InputError> {
    let path = file(recipes, name);
    let services = profile.cluster.service_cidr;
    let mut values = BTreeMap::new();
    for (value, number) in &recipe.addresses {
        let address = address(services, *number).ok_or_else(|| InputError::Wrong {
            path: profile.path.clone(),
            line: profile.lines.services,
            message: format!(
                "`cluster.service-cidr` {services} has no address {number}, which the addon `{name}` needs"
            ),
            hint: Some("widen it, or name the addons without it: `addons = […]` in `[options]`".to_owned()),
        })?;
        values.insert(value.clone(), address);
    }
    let install = |image: &String| (format!("{IMAGES}:{image}.tar"), format!("{ARCHIVES}/{image}.tar"));
    let layer = Layer {
        name: format!("{ADDONS}/{name}"),
        folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        path,
        image: Image {
            description: recipe.description.clone(),
            install: recipe.images.iter().map(install).collect(),
            units: recipe.units.clone(),
            values,
            ..Image::default()
        },
    };
    Ok(Addon { name: name.to_owned(), layer })
}

/// An address of a range by its number, the first host's being 1.
fn address(range: Ipv4Net, number: u32) -> Option<String> {
    let host = range.hosts().nth(usize::try_from(number.checked_sub(1)?).ok()?)?;
    Some(host.to_string())
}
