//! Which images another lock would change, and why: the inputs of each role's image, compared.
//!
//! It builds nothing: a changed input usually changes the image, and no other input can.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use toml::Spanned;

use crate::deb::roots::{EMULATOR, GRUB, TOOLS};
use crate::ground::error::Result;
use crate::lockfile::Lock;
use crate::lockfile::format::{Component, Release};
use crate::profile::{self, Profile};
use crate::role::{IMAGES, Recipes, Role, addon};

/// An image that another lock would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// The release.
    pub release: String,
    /// The role.
    pub role: String,
    /// The inputs that differ, sorted; none when only one of the locks has what the role installs.
    pub why: Vec<String>,
}

/// Inputs by name, each as a text that differs when it does.
type Inputs = BTreeMap<String, String>;

/// The images of the project's profiles that differ between two locks, sorted by release and role.
///
/// # Errors
/// When a profile or a recipe is wrong.
pub fn affected(project: &Path, recipes: &Recipes, old: &Lock, new: &Lock) -> Result<Vec<Affected>> {
    let mut roles = BTreeMap::new();
    for name in profile::names(&project.join(profile::PROFILES)) {
        let profile = Profile::load(project, &name)?;
        let slots = profile.options.slots();
        let addons = profile.options.addons.iter().flatten().map(Spanned::get_ref);
        let addons: Option<Vec<&String>> = profile.options.addons.is_some().then(|| addons.collect());
        for node in &profile.cluster.nodes {
            let role = Role::load(recipes, &node.role, &slots)?;
            let key = (node.role.clone(), format!("{slots:?} {addons:?}"));
            roles.insert(key, (role, profile.clone()));
        }
    }
    let releases: BTreeSet<&String> = old.release.keys().chain(new.release.keys()).collect();
    let mut affected = Vec::new();
    for name in releases {
        for (role, profile) in roles.values() {
            let of = |lock: &Lock| {
                let release = lock.release.get(name)?;
                let mut role = role.clone();
                role.lay_addons(&addon::chosen(recipes, profile, lock, name).ok()?);
                let lacks =
                    |component: &String| component != IMAGES && !release.component.contains_key(component);
                (!role.components().iter().any(lacks)).then(|| inputs(lock, release, &role))
            };
            let (before, after) = (of(old), of(new));
            if before == after {
                continue;
            }
            let why = match (before, after) {
                (Some(before), Some(after)) => different(&before, &after),
                _ => Vec::new(),
            };
            affected.push(Affected { release: name.clone(), role: role.name.clone(), why });
        }
    }
    Ok(affected)
}

fn different(before: &Inputs, after: &Inputs) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// What an image is made of, as far as the lock says it.
fn inputs(lock: &Lock, release: &Release, role: &Role) -> Inputs {
    let versions = format!("{} {}", release.kubernetes, release.containerd);
    let mut inputs = Inputs::from([
        ("epoch".to_owned(), lock.epoch.to_string()),
        ("firstboot".to_owned(), text(&lock.firstboot)),
        ("versions".to_owned(), versions),
    ]);
    for root in role.package_roots().into_iter().chain([TOOLS, EMULATOR, GRUB].map(str::to_owned)) {
        let packages = packages(lock, &root);
        inputs.insert(format!("root {root}"), packages);
    }
    let wanted = role.components();
    for (name, component) in release.used(&wanted, |image| role.has_image(image)) {
        let beneath = match component {
            Component::Build { build: build_name } => lock.build.get(build_name).map(|build| {
                let source = build.source().and_then(|source| lock.source.get(source));
                let source = source.map(|source| text(&source.files));
                let modules: Vec<_> = lock.modules(build_name).collect();
                let roots = [&build.root].into_iter().chain(build.cross.values());
                let roots: String = roots.map(|root| packages(lock, root)).collect();
                format!("{} {} {} {}", text(build), source.unwrap_or_default(), text(&modules), roots)
            }),
            Component::Deb { deb, .. } => Some(package(lock, deb)),
            Component::Url(_) | Component::Path { .. } => None,
        };
        inputs.insert(
            format!("component {name}"),
            format!("{} {}", text(component), beneath.unwrap_or_default()),
        );
    }
    for (name, image) in release.image.iter().filter(|(name, _)| role.has_image(name)) {
        let beneath = image.root().map(|root| packages(lock, root)).unwrap_or_default();
        inputs.insert(format!("image {name}"), format!("{} {beneath}", text(image)));
    }
    inputs
}

/// The hashes of a root's packages.
fn packages(lock: &Lock, root: &str) -> String {
    let debs = lock.deb.values().flatten().filter(|deb| deb.roots.contains(root));
    debs.map(|deb| deb.sha256.as_str()).collect::<Vec<_>>().join(" ")
}

/// The hashes of a package that is taken apart.
fn package(lock: &Lock, name: &str) -> String {
    let debs = lock.deb.values().flatten().filter(|deb| deb.name == name && deb.roots.contains("components"));
    debs.map(|deb| deb.sha256.as_str()).collect::<Vec<_>>().join(" ")
}

/// Everything in the lock has a JSON form.
fn text(part: &impl Serialize) -> String {
    serde_json::to_string(part).unwrap_or_default()
}
