//! What a plan is read from: the profile, the lockfile, the images and the recipes.

use std::path::Path;

use crate::ground::stat::Stats;
use crate::lockfile::build::RECIPES;
use crate::profile::Profile;
use crate::role::Recipes;

/// How all of it looks before it is read.
pub(super) fn stats(project: &Path, recipes: &Recipes, profile: &str, lockfile: &Path) -> Stats {
    let mut stats = Stats::default();
    stats.add(&Profile::path(project, profile));
    stats.add(lockfile);
    recipes.folders().for_each(|folder| stats.add_all(folder));
    stats.add_all(&project.join(RECIPES));
    stats
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use fs_err as fs;

    use super::stats;
    use crate::role::Recipes;

    #[test]
    fn a_link_is_followed_and_may_lead_nowhere() {
        let (folder, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, site) = (folder.path(), site.path());
        for folder in ["profiles", "images"] {
            fs::create_dir(project.join(folder)).unwrap();
        }
        let look = || {
            serde_json::to_string(&stats(
                project,
                &Recipes::of(project, None),
                "lab",
                &project.join("lockfile.toml"),
            ))
            .unwrap()
        };
        let mut seen = vec![look()];
        let mut changed = |what: &str| {
            let now = look();
            assert_ne!(seen.last(), Some(&now), "{what}");
            assert_eq!(now, look(), "{what}: nothing changed since");
            seen.push(now);
        };
        symlink(site.join("lab.toml"), project.join("profiles/lab.toml")).unwrap();
        changed("a link to a profile that is not there");
        fs::write(site.join("lab.toml"), "a").unwrap();
        changed("the profile came");
        fs::write(site.join("lab.toml"), "b").unwrap();
        changed("its text, as long as before");
        symlink(site.join("role"), project.join("images/role")).unwrap();
        changed("a link to a role that is not there");
        fs::create_dir(site.join("role")).unwrap();
        changed("the role came");
        fs::write(site.join("role/image.toml"), "").unwrap();
        changed("its recipe came");
        symlink("..", site.join("role/around")).unwrap();
        changed("a link in a circle");
    }
}
