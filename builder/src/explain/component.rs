//! The files of a plan's components by their names alone, as the lock tells them or recipes ask for them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::lockfile::format::Component;
use crate::plan::Plan;
use crate::role::{Components, IMAGES, Role};
use crate::stage::source;

/// What stands for every file of a component.
const EVERY: &str = "*";

/// Files that are nowhere yet.
pub(super) fn files(plan: &Plan) -> Components {
    let mut all = Components::new();
    for (name, file) in plan.roles.iter().flat_map(Role::files) {
        let files = all.entry(name.to_owned()).or_default();
        let component = plan.release.component.get(name);
        if let Some(Component::Build { build }) = component
            && let Some(made) = plan.lock.build.get(build)
        {
            files.extend(source::files(made, plan.arch, Path::new(build)));
        }
        let names: BTreeSet<String> = match (file, component) {
            (EVERY, Some(component)) => {
                let names = plan.lock.names(component, plan.arch).unwrap_or_default();
                names.into_iter().map(str::to_owned).collect()
            }
            (EVERY, None) if name == IMAGES => {
                plan.release.image.keys().map(|image| format!("{image}.tar")).collect()
            }
            (file, _) => [file.to_owned()].into(),
        };
        for file in names {
            let path = Path::new(name).join(&file);
            files.entry(file).or_insert_with(|| path.into());
        }
    }
    all
}
