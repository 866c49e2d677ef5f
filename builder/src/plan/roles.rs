//! The roles of a plan: their recipes, whether the release has what they install, and whether they make a cluster.

use std::path::Path;

use firstboot::schema;

use super::PlanError;
use crate::error::InputError;
use crate::lock::format::{Arch, Component, Lock, Release};
use crate::profile::Profile;
use crate::role::{self, IMAGES, Role};

/// Reads a role's recipe; one that is not there is a mistake of the profile.
pub(super) fn load_role(
    project: &Path,
    profile: &Profile,
    name: &str,
    line: usize,
) -> Result<Role, InputError> {
    let runtime = profile.options.runtime.get_ref();
    let keys = [("role", name, line), ("options.runtime", runtime.as_str(), profile.lines.runtime)];
    Role::load(project, name, runtime).map_err(|error| {
        let InputError::Missing { path, hint, .. } = &error else { return error };
        let Some((key, name, line)) =
            keys.into_iter().find(|(_, name, _)| *path == role::recipe(project, name))
        else {
            return error;
        };
        let message = format!("`{key}` `{name}` has no recipe in images/");
        InputError::Wrong { path: profile.path.clone(), line, message, hint: Some(hint.clone()) }
    })
}

/// etcd needs a majority, and the cluster an API server.
pub(super) fn check_members(profile: &Profile, cluster: &schema::Cluster) -> Result<(), InputError> {
    let nodes = cluster.nodes.iter().zip(&profile.lines.roles);
    let members: Vec<usize> = nodes.filter(|(node, _)| node.control_plane).map(|(_, line)| *line).collect();
    let (line, message, hint) = match members.as_slice() {
        [_] | [_, _, _] | [_, _, _, _, _] => return Ok(()),
        [] => {
            let first = profile.lines.roles.first().copied().unwrap_or(1);
            let message =
                "no node has a `role` with a control plane, like `control-plane` or `single`".to_owned();
            (first, message, "give one node `role = \"control-plane\"`")
        }
        [.., last] => {
            let message = format!(
                "{} nodes have a control plane by their `role`; etcd wants an odd number, five at most",
                members.len()
            );
            (*last, message, "use 1, 3 or 5")
        }
    };
    Err(InputError::Wrong { path: profile.path.clone(), line, message, hint: Some(hint.to_owned()) })
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
