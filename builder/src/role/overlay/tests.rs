//! Recipes in a temporary folder, laid over each other.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use firstboot::schema::Duty;
use fs_err as fs;

use crate::ground::tree::{Content, Node, Tree};
use crate::profile::{Profile, Slots};
use crate::role::Context;
use crate::role::overlay::{ComponentFile, Components, overlay};
use crate::role::stack::Role;

const PROFILE: &str = include_str!("../../../tests/fixtures/good-profiles/everything.toml");

const RELEASE: &str =
    "kubernetes = \"1.20.2\"\ncontainerd = \"1.7\"\nend-of-life = \"2022-02-28\"\ncomponent = {}\n";

const UNIT: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target rescue.target\nRequiredBy=x.target\n";

/// What fills the slot `runtime`.
fn slots(runtime: &str) -> Slots {
    Slots::from([("runtime".to_owned(), runtime.to_owned())])
}

/// A project with the recipes `low` and, over it, `high`.
struct Recipes(tempfile::TempDir);

impl Recipes {
    fn new(low: &str, high: &str) -> Self {
        let recipes = Self(tempfile::tempdir().unwrap());
        recipes.write("low/image.toml", &format!("description = \"low\"\n{low}"));
        recipes.write("high/image.toml", &format!("description = \"high\"\nparts = [\"low\"]\n{high}"));
        recipes
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join("images").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn overlay(&self) -> Result<Tree, String> {
        let mut profile = Profile::parse(Path::new("x"), "x".to_owned(), PROFILE).unwrap();
        for node in &mut profile.cluster.nodes {
            node.duties = [Duty::Kubelet, Duty::ApiServer].into();
        }
        let role = Role::load(&crate::role::Recipes::of(self.0.path(), None), "high", &slots("low")).unwrap();
        let release = toml::from_str(RELEASE).unwrap();
        let context = Context::new(&profile, &profile.cluster, &release, &[], &[]).of(&role);
        let one = |name: &str| (name.to_owned(), Path::new("store").join(name).into());
        let mut files: BTreeMap<_, ComponentFile> = ["one", "two"].map(one).into();
        let of = Some("two".to_owned());
        files.insert("second".to_owned(), ComponentFile { of, ..files["two"].clone() });
        let components = Components::from([("tools".to_owned(), files)]);
        let shorten = |error: crate::ground::error::Error| {
            error.to_string().replace(&format!("{}/", self.0.path().display()), "")
        };
        overlay(&role, &context, &components).map_err(shorten)
    }
}

fn link<'a>(tree: &'a Tree, path: &str) -> Option<&'a str> {
    match &tree.get(path)?.node {
        Node::Link { target } => Some(target),
        Node::File { .. } => None,
    }
}

fn file(tree: &Tree, path: &str) -> Option<(u32, String)> {
    match &tree.get(path)?.node {
        Node::File { mode, content: Content::Bytes(bytes) } => {
            Some((*mode, String::from_utf8(bytes.clone()).unwrap()))
        }
        Node::File { mode, content: Content::Path(path) } => Some((*mode, path.display().to_string())),
        Node::File { content: Content::Later, .. } | Node::Link { .. } => None,
    }
}

#[test]
fn values_are_those_of_the_outermost_recipe_that_has_them() {
    let recipes = Recipes::new("[values]\none = \"low\"\ntwo = \"low\"\n", "[values]\ntwo = \"high\"\n");
    // The lower recipe's file sees what is laid over it, as it belongs to the same role.
    recipes.write("low/files/etc/values.j2", "{{ values.one }} {{ values.two }}");
    let tree = recipes.overlay().unwrap();
    assert_eq!(file(&tree, "etc/values").unwrap().1, "low high");
    recipes.write("high/files/etc/values.j2", "{{ values.three }}");
    insta::assert_snapshot!(recipes.overlay().unwrap_err(), @r"
    images/high/files/etc/values.j2:1: undefined value

    hint: the templates' values are listed in docs/reference/recipes.md
    ");
}

#[test]
fn the_recipe_of_the_runtime_is_the_profiles() {
    let recipes = Recipes::new("", "");
    recipes.write("high/image.toml", "description = \"high\"\nparts = [\"{runtime}\"]\n");
    let names = |runtime: &str| {
        let role = Role::load(&crate::role::Recipes::of(recipes.0.path(), None), "high", &slots(runtime))
            .map_err(|error| error.to_string())?;
        Ok(role.layers.into_iter().map(|layer| layer.name).collect::<Vec<_>>())
    };
    assert_eq!(names("low"), Ok(vec!["low".to_owned(), "high".to_owned()]));
    let refused: Result<_, String> = names("high");
    assert!(refused.unwrap_err().contains("`parts` leads back to `high`"));
    recipes.write("high/image.toml", "description = \"high\"\nparts = [\"{rumtime}\"]\n");
    assert!(names("low").unwrap_err().contains("image.toml:1: `parts`: there is no slot `{rumtime}`"));
}

#[test]
fn a_program_of_several_names_is_there_once() {
    let install = "[install]\n\"tools:second\" = \"/usr/bin/\"\n\"tools:one\" = \"/usr/bin/first\"\n";
    let tree = Recipes::new(install, "").overlay().unwrap();
    assert_eq!(link(&tree, "usr/bin/second"), Some("two"));
    assert_eq!(file(&tree, "usr/bin/two"), Some((0o755, "store/two".to_owned())));
    assert_eq!(file(&tree, "usr/bin/first"), Some((0o755, "store/one".to_owned())));
}

#[test]
fn a_role_has_the_duties_of_its_parts_and_each_part_once() {
    let recipes = Recipes::new("duties = [\"etcd\"]\n", "duties = [\"api-server\"]\n");
    recipes
        .write("beside/image.toml", "description = \"beside\"\nparts = [\"low\"]\nduties = [\"kubelet\"]\n");
    recipes.write("top/image.toml", "description = \"top\"\nparts = [\"high\", \"beside\"]\n");
    let role = Role::load(&crate::role::Recipes::of(recipes.0.path(), None), "top", &slots("low")).unwrap();
    let names: Vec<&str> = role.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["low", "high", "beside", "top"]);
    assert_eq!(role.duties(), [Duty::Kubelet, Duty::Etcd, Duty::ApiServer].into());
    assert!(!role.has(Duty::LoadBalancer));
}

/// What is wrong with the identities of a role.
fn refused(low: &str, high: &str) -> String {
    let recipes = Recipes::new(low, high);
    let error = Role::load(&crate::role::Recipes::of(recipes.0.path(), None), "high", &slots("low"))
        .unwrap()
        .check_identities()
        .unwrap_err();
    error.to_string().replace(&format!("{}/", recipes.0.path().display()), "")
}

#[test]
fn identities_are_checked_as_a_whole() {
    let client =
        "[[certificate]]\nlabel = \"one\"\nuser = \"one\"\nusage = \"client\"\nfiles = \"/etc/one\"\n";
    let kubeconfig = "[[kubeconfig]]\ncertificate = \"one\"\nfile = \"/etc/kubeconfig\"\n";
    let recipes = Recipes::new(client, kubeconfig);
    Role::load(&crate::role::Recipes::of(recipes.0.path(), None), "high", &slots("low"))
        .unwrap()
        .check_identities()
        .unwrap();
    let server = client.replace("client", "server");
    let secret = "[[secret]]\nname = \"ssh-key\"\nfile = \"/etc/one.key\"\n";
    let wrong = [
        refused("", kubeconfig),
        refused(&server, kubeconfig),
        refused(client, secret),
        refused("", &secret.replace("/etc", "etc")),
        refused("", &secret.replace("/etc", "/etc/..")),
    ];
    insta::assert_snapshot!(wrong.join("\n"), @"
    images/high/image.toml:1: `kubeconfig.certificate` `one` is no client's certificate of the role `high`
    images/high/image.toml:1: `kubeconfig.certificate` `one` is no client's certificate of the role `high`
    images/high/image.toml:1: `secret.file` `/etc/one.key` is taken by `low`
    images/high/image.toml:1: `secret.file` `etc/one.key` is no absolute path
    images/high/image.toml:1: `secret.file` `/etc/../one.key` is no absolute path
    ");
}

#[test]
fn units_are_enabled_by_their_install_section_and_masked() {
    let recipes = Recipes::new("", "[units]\nenable = [\"a.service\"]\nmask = [\"b.timer\"]\n");
    // The unit of a lower recipe may be enabled by a higher one.
    recipes.write("low/units/a.service", UNIT);
    let tree = recipes.overlay().unwrap();
    for place in ["multi-user.target.wants", "rescue.target.wants", "x.target.requires"] {
        let path = format!("etc/systemd/system/{place}/a.service");
        assert_eq!(link(&tree, &path), Some("/etc/systemd/system/a.service"), "{place}");
    }
    assert_eq!(link(&tree, "etc/systemd/system/b.timer"), Some("/dev/null"));
}

#[test]
fn units_that_cannot_be_enabled_are_named() {
    let recipes = Recipes::new("", "[units]\nenable = [\"a.service\"]\n");
    let missing =
        "images/high/image.toml:1: `units.enable` names `a.service`, which is not in a `units/` folder";
    assert_eq!(recipes.overlay().unwrap_err(), missing);
    recipes.write("high/units/a.service", "[Service]\n");
    let idle =
        "images/high/image.toml:1: `units.enable` names `a.service`, which has no WantedBy= or RequiredBy=";
    assert_eq!(recipes.overlay().unwrap_err(), idle);
}

#[test]
fn templates_are_rendered_and_lose_their_suffix() {
    let recipes = Recipes::new("", "");
    recipes.write("low/files/etc/name.j2", "{{ cluster.name }}\n{% if true %}\nyes\n{% endif %}\n");
    recipes.write("low/files/etc/plain", "{{ cluster.name }}\n");
    recipes.write("low/node/etc/x.j2", "{{ release.kubernetes }} @node_ip@");
    let tree = recipes.overlay().unwrap();
    assert_eq!(file(&tree, "etc/name"), Some((0o644, "whole\nyes\n".to_owned())));
    assert_eq!(file(&tree, "/etc/plain"), Some((0o644, "{{ cluster.name }}\n".to_owned())));
    assert_eq!(file(&tree, "usr/lib/kiln/node/etc/x"), Some((0o644, "1.20.2 @node_ip@".to_owned())));
    assert!(tree.get("etc/name.j2").is_none());
}

#[test]
fn a_template_with_an_unknown_value_is_named_by_its_line() {
    let recipes = Recipes::new("", "");
    recipes.write("low/files/etc/name.j2", "a\n{{ cluster.nmae }}\n");
    let error = recipes.overlay().unwrap_err();
    assert!(error.starts_with("images/low/files/etc/name.j2:2: "), "{error}");
}

#[test]
fn a_higher_recipe_replaces_a_lower_ones_files_and_only_the_owners_execute_bit_counts() {
    let recipes = Recipes::new("", "[mode]\n\"etc/secret\" = \"0600\"\n");
    for name in ["low/files/etc/a", "high/files/etc/a", "high/files/etc/secret", "low/files/bin/run"] {
        recipes.write(name, name);
    }
    for (name, mode) in [("low/files/bin/run", 0o700), ("high/files/etc/a", 0o611)] {
        let path = recipes.0.path().join("images").join(name);
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let tree = recipes.overlay().unwrap();
    assert_eq!(file(&tree, "etc/a"), Some((0o644, "high/files/etc/a".to_owned())));
    assert_eq!(file(&tree, "bin/run").unwrap().0, 0o755);
    assert_eq!(file(&tree, "etc/secret").unwrap().0, 0o600);
}

#[test]
fn components_are_installed_one_by_one_or_all() {
    let tree =
        Recipes::new("[install]\n\"tools:one\" = \"/bin/uno\"\n", "[install]\n\"tools:*\" = \"/opt/\"\n")
            .overlay();
    let tree = tree.unwrap();
    assert_eq!(file(&tree, "bin/uno"), Some((0o755, "store/one".to_owned())));
    assert_eq!(file(&tree, "opt/two"), Some((0o755, "store/two".to_owned())));
}

#[test]
fn what_no_component_has_is_named() {
    for (high, said) in [
        ("[install]\n\"tolos:one\" = \"/x\"\n", "`tolos:one`: the release has no component `tolos`"),
        (
            "[install]\n\"tools:three\" = \"/x\"\n",
            "`tools:three`: the component has no `three`; it has: one, second, two",
        ),
        ("[install]\ntools = \"/x\"\n", "`install` key `tools` is not `component:file`"),
        ("[mode]\nx = \"0600\"\n", "`mode` names `x`, which the recipe does not bring"),
        ("[mode]\nx = \"9\"\n", "`mode` of `x`: `9` is not an octal mode"),
    ] {
        let error = Recipes::new("", high).overlay().unwrap_err();
        assert_eq!(error, format!("images/high/image.toml:1: {said}"));
    }
}

#[test]
fn recipes_that_extend_each_other_are_refused() {
    let recipes = Recipes::new("parts = [\"high\"]\n", "");
    let error = Role::load(&crate::role::Recipes::of(recipes.0.path(), None), "high", &slots("low"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("`parts` leads back to `high`"), "{error}");
}
