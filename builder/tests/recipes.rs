//! The project's own profiles and recipes, without a store: each profile is planned, each role's overlay is rendered.

pub(crate) mod plans;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use builder::ground::tree::{Content, Node};
use builder::plan::Plan;
use builder::profile::Options;
use builder::role::{ADDONS, Components, IMAGES, Recipes, Role};
use builder::stage::tree::{RoleTree, trees};
use fs_err as fs;
use plans::{plans, project};

/// Where units are.
const UNITS: &str = "etc/systemd/system";

/// What takes an image's name for a place to download from.
const REGISTRIES: [&str; 7] =
    ["docker.io", "gcr.io", "registry.k8s.io", "quay.io", "ghcr.io", "public.ecr.aws", "mcr.microsoft.com"];

/// The files that the lock says each component has; of a whole folder, whatever a recipe asks for.
fn components(plan: &Plan) -> Components {
    let wanted = |name: &str| {
        let sources =
            plan.roles.iter().flat_map(|role| &role.layers).flat_map(|layer| layer.image.install.keys());
        sources
            .filter_map(|source| source.split_once(':'))
            .filter(|(of, _)| *of == name)
            .map(|(_, file)| file.to_owned())
            .collect()
    };
    let mut components = Components::new();
    let mut put = |name: &str, files: BTreeSet<String>| {
        let at = |file: String| (file.clone(), Path::new("steps").join(name).join(file).into());
        components.insert(name.to_owned(), files.into_iter().map(at).collect::<BTreeMap<_, _>>());
    };
    for (name, component) in &plan.release.component {
        put(
            name,
            match plan.lock.names(component, plan.arch) {
                Some(names) => names.into_iter().map(str::to_owned).collect(),
                None => wanted(name),
            },
        );
    }
    put(IMAGES, plan.release.image.keys().map(|name| format!("{name}.tar")).collect());
    components
}

/// The text files of a tree; firstboot's own bytes are none.
fn texts(tree: &RoleTree) -> impl Iterator<Item = (&str, &str)> {
    tree.overlay.entries().filter_map(|(path, entry)| match &entry.node {
        Node::File { content: Content::Bytes(bytes), .. } => Some((path, std::str::from_utf8(bytes).ok()?)),
        _ => None,
    })
}

#[test]
fn every_role_of_every_profile_renders() {
    for plan in plans() {
        let trees = trees(&plan, &components(&plan)).unwrap();
        assert_eq!(trees.len(), plan.roles.len());
        for tree in &trees {
            let role = &tree.role;
            for (path, text) in texts(tree) {
                assert!(
                    !text.contains("{{") && !text.contains("{%"),
                    "{role}: /{path} has a placeholder left"
                );
                if path.starts_with(UNITS) {
                    assert!(!text.contains('@'), "{role}: firstboot does not complete /{path}");
                }
                // A continued line goes on with an argument: what a template leaves out takes its line along.
                let lines: Vec<&str> = text.lines().collect();
                for pair in lines.windows(2).filter(|pair| path.starts_with(UNITS) && pair[0].ends_with('\\'))
                {
                    assert!(pair[1].trim_start().starts_with('-'), "{role}: /{path}: `{}`", pair[1]);
                }
            }
            let cluster = tree.overlay.get(firstboot::schema::CLUSTER_FILE).unwrap();
            let Node::File { content: Content::Bytes(table), .. } = &cluster.node else {
                panic!("{cluster:?}")
            };
            assert_eq!(firstboot::schema::Cluster::parse(table).unwrap(), plan.cluster);
        }
    }
}

#[test]
fn every_enabled_unit_and_what_its_commands_start_exists() {
    for plan in plans() {
        for tree in trees(&plan, &components(&plan)).unwrap() {
            let overlay = &tree.overlay;
            for (path, entry) in overlay.entries() {
                let Node::Link { target } = &entry.node else { continue };
                if path.starts_with(UNITS) && target.starts_with(&format!("/{UNITS}/")) {
                    assert!(overlay.get(target).is_some(), "{}: /{path} leads nowhere", tree.role);
                }
            }
            // Programs of Kiln's and of the components; those of Debian are in the base.
            for (path, text) in texts(&tree).filter(|(path, _)| path.ends_with(".service")) {
                let commands = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("Exec")?.split_once('='))
                    .map(|(_, it)| it);
                for program in commands.filter_map(|command| {
                    command.trim_start_matches(['-', '+', '!', '@', ':']).split(' ').next()
                }) {
                    let ours =
                        ["/usr/local/", "/usr/lib/kiln/"].iter().any(|folder| program.starts_with(folder));
                    assert!(
                        !ours || overlay.get(program).is_some(),
                        "{}: /{path} starts {program}",
                        tree.role
                    );
                }
            }
        }
    }
}

#[test]
fn every_recipe_is_well_formed() {
    for entry in fs::read_dir(project().join("images")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == ADDONS {
            continue;
        }
        Role::load(&Recipes::of(project(), None), &name, &Options::default().slots()).unwrap();
    }
}

#[test]
fn no_recipe_names_a_registry() {
    for entry in walkdir::WalkDir::new(project().join("images")) {
        let path = entry.unwrap().into_path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for registry in REGISTRIES {
            assert!(!text.contains(registry), "{} names {registry}", path.display());
        }
    }
}
