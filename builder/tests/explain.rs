//! What `builder explain` says: everything in the images of every profile is explained, nothing else is, and docs/hard-way.md is
//! made of it.

mod page;

use std::collections::BTreeSet;

use crate::recipes::plans::{plans, project};
use assert_cmd::Command;
use builder::explain::{FILE, Kind, Thing, entries, guide, things};
use builder::plan::Plan;
use fs_err as fs;

/// The plan of the guide's profile with the lockfile's default release.
fn hard_way() -> Plan {
    let is_it = |plan: &Plan| {
        let default = plan.cluster.release == plan.lock.default_release;
        default && plan.profile.path == project().join("profiles").join(format!("{}.toml", guide::PROFILE))
    };
    plans().into_iter().find(is_it).unwrap()
}

/// Every recipe with explanations, with each name that it explains.
fn explained() -> BTreeSet<(String, Kind, String)> {
    let images = project().join("images");
    let files = walkdir::WalkDir::new(&images).into_iter().map(|entry| entry.unwrap().into_path());
    let mut all = BTreeSet::new();
    for file in files.filter(|file| file.ends_with(FILE)) {
        let folder = file.parent().unwrap();
        let recipe = folder.strip_prefix(&images).unwrap().to_str().unwrap();
        for (kind, entry) in entries(folder).unwrap() {
            all.extend(entry.names().map(|name| (recipe.to_owned(), kind, name.to_owned())));
        }
    }
    all
}

#[test]
fn everything_is_explained_and_nothing_else() {
    let (mut bare, mut unused) = (BTreeSet::new(), explained());
    for plan in plans() {
        for Thing { kind, name, origins, explanation, .. } in things(&plan).unwrap() {
            match explanation {
                Some(it) => drop(unused.remove(&(it.recipe, kind, it.pattern))),
                None => drop(bare.insert(format!("{kind:?} {name}, by {}", origins[0].source))),
            }
        }
    }
    assert_eq!(bare, BTreeSet::new(), "these are not explained");
    assert_eq!(unused, BTreeSet::new(), "these are explained, and no profile has them");
}

/// What nobody types in a test may not work.
#[test]
fn what_is_typed_is_typed_on_the_guides_machines() {
    let plan = hard_way();
    let things = things(&plan).unwrap();
    let here = |recipe: &str, kind: Kind, names: &[&str]| {
        things.iter().any(|thing| {
            let it = thing.explanation.as_ref().filter(|it| it.recipe == recipe && thing.kind == kind);
            it.is_some_and(|it| names.contains(&it.pattern.as_str()))
        })
    };
    for recipe in explained().into_iter().map(|(recipe, ..)| recipe).collect::<BTreeSet<_>>() {
        for (kind, entry) in entries(&project().join("images").join(&recipe)).unwrap() {
            let names: Vec<&str> = entry.names().collect();
            assert!(entry.see.is_empty() || here(&recipe, kind, &names), "{recipe}: {names:?}");
        }
    }
    for see in guide::steps().unwrap().iter().flat_map(|step| &step.see) {
        assert!(plan.cluster.nodes.iter().any(|node| node.name == see.on), "{}", see.on);
    }
}

/// `KILN_ACCEPT=1` writes the page anew.
#[test]
fn the_page_is_made_of_the_explanations() {
    let plan = hard_way();
    let text = page::page(&plan, &things(&plan).unwrap(), &guide::steps().unwrap());
    let images: Vec<&str> =
        text.split("--image=").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    for image in &images {
        let known = plan.container_images().any(|(_, known)| known.reference == *image);
        assert!(known, "no machine of the page has the image {image}");
    }
    let path = project().join("docs/hard-way.md");
    if std::env::var_os("KILN_ACCEPT").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        text == fs::read_to_string(&path).unwrap_or_default(),
        "docs/hard-way.md is old; make it anew with KILN_ACCEPT=1"
    );
}

/// The files of the reference's table, which has each between backticks in its first column.
#[test]
fn what_firstboot_writes_is_explained() {
    let text = fs::read_to_string(project().join("docs/reference/recipes.md")).unwrap();
    let (_, table) = text.split_once("## What firstboot writes besides\n").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let written: BTreeSet<String> =
        rows.flat_map(|row| row.trim_end_matches('`').split("`, `")).map(str::to_owned).collect();
    let base = entries(&project().join("images/base")).unwrap();
    let at_boot =
        base.iter().filter(|(_, entry)| entry.at_boot.is_some()).flat_map(|(_, entry)| entry.names());
    let mut at_boot: BTreeSet<String> = at_boot.map(str::to_owned).collect();
    // Where the image has it, it is a link of the image.
    at_boot.insert("/etc/resolv.conf".to_owned());
    assert_eq!(at_boot, written);
}

/// `builder explain` in the checkout: exit code, standard output, standard error.
fn explain(args: &[&str]) -> String {
    let mut builder = Command::cargo_bin("builder").unwrap();
    let output = builder.env_clear().current_dir(project()).arg("explain").args(args).output().unwrap();
    // Commands that it names begin as it was called.
    let program = builder.get_program().to_str().unwrap().to_owned();
    let said = |bytes| String::from_utf8(bytes).unwrap().replace(&program, "builder");
    format!("exit {}\n{}{}", output.status.code().unwrap(), said(output.stdout), said(output.stderr))
}

#[test]
fn a_thing_has_many_names() {
    insta::assert_snapshot!("a_unit_and_its_certificate", explain(&["kube-proxy"]));
    insta::assert_snapshot!("a_field", explain(&["maxPods"]));
    insta::assert_snapshot!("a_file_of_a_link", explain(&["root/.kube/config"]));
    for names in [
        ["/etc/cni/net.d/10-bridge.conflist", "usr/lib/kiln/node/etc/cni/net.d/10-bridge.conflist"],
        ["kubelet.service", "/etc/systemd/system/kubelet.service"],
        ["node/{node}", "node/node-1"],
        ["node/{node}", "/var/lib/kubelet/kubelet.key"],
        ["kube-apiserver:advertise-address", "--advertise-address"],
        ["kube-apiserver:advertise-address", "kube-apiserver:--advertise-address"],
    ] {
        let answers = names.map(|name| explain(&[name]));
        assert!(answers[0].starts_with("exit 0\n") && answers[0] == answers[1], "{answers:?}");
    }
}

#[test]
fn an_unknown_name_is_told_with_those_near() {
    let said = ["kubelet-config.yaml", "kube-proxi", "max-pods", "zzzzzzzzzzzz"].map(|name| explain(&[name]));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn everything_is_listed_and_told_to_programs() {
    let list = explain(&["--profile", "single"]);
    for name in ["  etcd.service ", "  kubelet:maxPods ", "  certificate admin ", "addons/coredns: CoreDNS"] {
        assert!(list.contains(name), "{name} in {list}");
    }
    let said = explain(&["kubelet:maxPods", "--json"]);
    let json: serde_json::Value = serde_json::from_str(said.strip_prefix("exit 0\n").unwrap()).unwrap();
    assert_eq!(json[0]["kind"], "flag");
    assert_eq!(json[0]["origins"][0]["recipe"], "kubelet");
}

/// A role of one's own needs no explanation.
#[test]
fn a_sites_role_is_told_from_its_tree() {
    let site = tempfile::tempdir().unwrap();
    let storage = site.path().join("images/storage");
    fs::create_dir_all(storage.join("files/etc")).unwrap();
    fs::write(storage.join("image.toml"), "description = \"x\"\nparts = [\"worker\"]\n").unwrap();
    fs::write(storage.join("files/etc/storage.conf"), "a = 1\n").unwrap();
    let profile = fs::read_to_string(project().join("profiles/kthw.toml")).unwrap();
    let path = site.path().join("site.toml");
    fs::write(&path, profile.replace("role = \"worker\"", "role = \"storage\"")).unwrap();
    let (images, path) = (site.path().join("images"), path.display().to_string());
    let args = ["/etc/storage.conf", "--profile", &path, "--images", images.to_str().unwrap()];
    let told = || explain(&args).replace(&site.path().display().to_string(), "SITE");
    insta::assert_snapshot!("a_sites_file", told());
    fs::write(
        storage.join(FILE),
        "[[file]]\nnames = [\"etc/storage.conf\"]\nwhat = \"x\"\nwithout = \"x\"\n",
    )
    .unwrap();
    insta::assert_snapshot!("a_relative_path", told());
    fs::write(storage.join(FILE), "[[file]]\nnames = [\"/etc/storage.conf\"]\nwaht = \"x\"\n").unwrap();
    insta::assert_snapshot!("an_unknown_key", told());
}
