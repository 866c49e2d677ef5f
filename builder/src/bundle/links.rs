//! Links in the project's folders: those that a build follows must lead to what the bundle holds.

use std::io;
use std::path::{Component, Path};

use fs_err as fs;
use walkdir::WalkDir;

use crate::bundle::error::BundleError;
use crate::ground::error::Result;
use crate::lockfile::build::RECIPES;
use crate::profile::PROFILES;
use crate::role::ROLES;

/// Folders of the project that builds read, and how deep they follow links there: those further below are part of images
/// or of the sandbox, wherever they lead.
pub(super) const FOLDERS: [(&str, usize); 3] = [(ROLES, 2), (PROFILES, 1), (RECIPES, 1)];

/// Refuses links of the folder `name` that lead out of the bundle. The profile itself may: it goes in as a file.
pub(super) fn check(name: &str, folder: &Path, depth: usize, profile: &Path) -> Result<()> {
    for entry in WalkDir::new(folder).min_depth(1).max_depth(depth) {
        let path = entry.map_err(io::Error::from)?.into_path();
        if !path.is_symlink() || path == profile {
            continue;
        }
        let target = fs::read_link(&path)?;
        let inner = Path::new(name).join(path.strip_prefix(folder).unwrap_or(&path));
        if !is_held(&inner, &target) {
            return Err(BundleError::Link { path, target }.into());
        }
    }
    Ok(())
}

/// Whether a link of the project, by its path there, leads to something in one of its folders.
fn is_held(link: &Path, target: &Path) -> bool {
    let mut place: Vec<Component<'_>> = link.components().collect();
    place.pop();
    for part in target.components() {
        match part {
            Component::Normal(_) => place.push(part),
            Component::ParentDir if place.pop().is_some() => {}
            Component::CurDir => {}
            _ => return false,
        }
    }
    place.first().is_some_and(|first| FOLDERS.iter().any(|(folder, _)| first.as_os_str() == *folder))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_held;

    #[test]
    fn a_link_is_held_when_it_stays_in_the_folders_by_name() {
        for (link, target, held) in [
            ("images/site", "./worker", true),
            ("images/site", "../recipes/x", true),
            ("images/site/files", "../worker/files", true),
            ("images/site", "../site", false),
            ("images/site", "../../kiln/images/worker", false),
            ("images/site", "../..", false),
            ("images/site", "/images/worker", false),
            ("profiles/a.toml", "../images-of-mine/a.toml", false),
        ] {
            assert_eq!(is_held(Path::new(link), Path::new(target)), held, "{link} -> {target}");
        }
    }
}
