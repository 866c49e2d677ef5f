//! The roles of a plan: their recipes, whether the release has what they install, and whether they make a cluster.

use firstboot::schema::{self, Duty};

use crate::ground::arch::Arch;
use crate::ground::error::{Error, InputError};
use crate::ground::input::nearest;
use crate::lockfile::Lock;
use crate::lockfile::format::{Component, Release};
use crate::plan::error::PlanError;
use crate::profile::Profile;
use crate::role::{IMAGES, Recipes, Role};

/// Reads a role's recipe; one that is not there is a mistake of the profile.
pub(super) fn load_role(
    recipes: &Recipes,
    profile: &Profile,
    name: &str,
    line: usize,
) -> Result<Role, InputError> {
    let slots = profile.options.slots();
    Role::load(recipes, name, &slots).map_err(|error| {
        let InputError::Missing { path, hint, .. } = &error else { return error };
        let mut keys = vec![("role".to_owned(), name, line)];
        keys.extend(slots.iter().map(|(slot, part)| {
            let line = profile.lines.slots.get(slot).copied().unwrap_or(1);
            (format!("options.{slot}"), part.as_str(), line)
        }));
        let Some((key, name, line)) = keys.into_iter().find(|(_, name, _)| *path == recipes.file(name))
        else {
            return error;
        };
        let message = format!("`{key}` `{name}` has no recipe in images/");
        InputError::Wrong { path: profile.path.clone(), line, message, hint: Some(hint.clone()) }
    })
}

/// A cluster needs each duty of a control plane, and etcd a majority.
pub(super) fn check_duties(profile: &Profile, cluster: &schema::Cluster) -> Result<(), InputError> {
    let wrong = |line: usize, message: String, hint: &str| {
        Err(InputError::Wrong { path: profile.path.clone(), line, message, hint: Some(hint.to_owned()) })
    };
    for (duty, what) in [
        (Duty::ApiServer, "serves the Kubernetes API"),
        (Duty::Controllers, "runs the controller manager"),
        (Duty::Etcd, "keeps the cluster's data with etcd"),
    ] {
        if cluster.with(duty).next().is_none() {
            let line = profile.lines.roles.first().copied().unwrap_or(1);
            let message = format!("no node has a `role` that {what}, like `control-plane` or `single`");
            return wrong(line, message, "give one node `role = \"control-plane\"`");
        }
    }
    let nodes = cluster.nodes.iter().zip(&profile.lines.roles);
    let members: Vec<usize> = nodes.filter(|(node, _)| node.has(Duty::Etcd)).map(|(_, line)| *line).collect();
    match members.as_slice() {
        [] | [_] | [_, _, _] | [_, _, _, _, _] => Ok(()),
        [.., last] => {
            let count = members.len();
            let message = format!(
                "{count} nodes are members of etcd by their `role`; it wants an odd number, five at most"
            );
            wrong(*last, message, "use 1, 3 or 5")
        }
    }
}

/// What a role asks for that the architecture or the release does not have.
pub(super) fn check_roles(
    roles: &[Role],
    lock: &Lock,
    (name, release): (&str, &Release),
    arch: Arch,
) -> Result<(), PlanError> {
    for role in roles {
        let limited = role.layers.iter().filter_map(|layer| layer.image.architectures.as_ref());
        if limited.into_iter().any(|architectures| !architectures.contains(&arch)) {
            return Err(PlanError::Architecture { role: role.name.clone(), arch });
        }
        for component in role.components() {
            if component != IMAGES && !release.component.contains_key(&component) {
                let having = lock.release.iter().filter(|(_, it)| it.component.contains_key(&component));
                let newest = having.map(|(name, _)| name.clone()).next_back();
                let (release, role) = (name.to_owned(), role.name.clone());
                return Err(PlanError::NoComponent { release, component, role, newest });
            }
        }
        for (component, file) in role.files() {
            let lacks = match component {
                IMAGES => !file.strip_suffix(".tar").is_some_and(|image| release.image.contains_key(image)),
                _ => release
                    .component
                    .get(component)
                    .and_then(|component| lock.names(component, arch))
                    .is_some_and(|names| !names.contains(file)),
            };
            if file != "*" && lacks {
                // Nobody wrote down yet what a build makes for this architecture.
                let build = unknown(release.component.get(component), lock, arch);
                let (release, role) = (name.to_owned(), role.name.clone());
                let (component, file) = (component.to_owned(), file.to_owned());
                return Err(PlanError::NoFile { release, component, file, arch, role, build });
            }
        }
    }
    Ok(())
}

/// The build of a component of which the lock expects nothing for an architecture.
fn unknown(component: Option<&Component>, lock: &Lock, arch: Arch) -> Option<String> {
    let Some(Component::Build { build }) = component else { return None };
    let names = lock.build.get(build)?.names(arch);
    names.is_empty().then(|| build.clone())
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
