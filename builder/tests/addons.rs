//! The project's own addons, and the one of the how-to, without a store: in clusters of every kind, what becomes of them is
//! what Kubernetes reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use builder::ground::arch::Arch;
use builder::ground::tree::{Content, Node};
use builder::plan::{Plan, Request};
use builder::role::Components;
use builder::stage::tree::{RoleTree, trees};
use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use saphyr_parser::Parser;

/// The addons of Kiln, all on by default.
const OURS: [&str; 4] = ["coredns", "kube-network-policies", "local-path", "metrics-server"];

/// The container images that they need besides the ones of every release.
const IMAGES: [&str; 4] = ["coredns", "kube-network-policies", "local-path-provisioner", "metrics-server"];

const HEAD: &str =
    "[cluster]\nname = \"kiln\"\npod-cidr = \"10.200.0.0/16\"\nservice-cidr = \"10.32.0.0/24\"\n";
const STATIC: &str = "[network]\nmode = \"static\"\ncidr = \"192.168.122.0/24\"\n";
const DHCP: &str = "[network]\nmode = \"dhcp\"\n";

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A project with the checkout's recipes and a release that has the images of its addons.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        let lock = fs::read_to_string(checkout().join("lockfile.toml")).unwrap();
        let image = |name: &&str| {
            format!(
                "\n[release.debian.image.{name}]\nreference = \"kiln.local/{name}:1\"\n\
                 program = \"busybox:busybox\"\npath = \"/it\"\nentrypoint = [\"/it\"]\n"
            )
        };
        let images: String = IMAGES.iter().map(image).collect();
        fs::write(project.path("lockfile.toml"), lock + &images).unwrap();
        fs::create_dir(project.path("images")).unwrap();
        for entry in fs::read_dir(checkout().join("images")).unwrap() {
            let entry = entry.unwrap();
            symlink(entry.path(), project.0.path().join("images").join(entry.file_name())).unwrap();
        }
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn plan(&self, profile: &str) -> Plan {
        let path = self.path("lab.toml");
        fs::write(&path, profile).unwrap();
        let request = Request {
            project: self.0.path().to_owned(),
            profile: path.to_str().unwrap().to_owned(),
            release: Some("debian".to_owned()),
            arch: Arch::Amd64,
            lockfile: self.path("lockfile.toml"),
            images: None,
        };
        Plan::resolve(&request).unwrap()
    }

    /// The text files of each role of a profile.
    fn texts(&self, profile: &str) -> BTreeMap<String, BTreeMap<String, String>> {
        let plan = self.plan(profile);
        let trees = trees(&plan, &components(&plan)).unwrap();
        trees.iter().map(|tree| (tree.role.clone(), texts(tree))).collect()
    }
}

/// Whatever the recipes install.
fn components(plan: &Plan) -> Components {
    let mut components = Components::new();
    for (component, file) in plan.roles.iter().flat_map(builder::role::Role::files) {
        let files = components.entry(component.to_owned()).or_default();
        files.insert(file.to_owned(), Path::new("steps").join(file).into());
    }
    components
}

fn texts(tree: &RoleTree) -> BTreeMap<String, String> {
    let texts = tree.overlay.entries().filter_map(|(path, entry)| match &entry.node {
        Node::File { content: Content::Bytes(bytes), .. } => {
            Some((path.to_owned(), String::from_utf8(bytes.clone()).ok()?))
        }
        _ => None,
    });
    texts.collect()
}

fn node(name: &str, role: &str, ip: Option<&str>) -> String {
    let ip = ip.map(|ip| format!("ip = \"{ip}\"\n")).unwrap_or_default();
    format!("[[node]]\nname = \"{name}\"\nrole = \"{role}\"\n{ip}")
}

/// One machine; a control plane and two workers; the same with DHCP.
fn profiles() -> [String; 3] {
    let [server, node_0, node_1] = ["192.168.122.10", "192.168.122.11", "192.168.122.12"].map(Some);
    let three = |ips: [Option<&str>; 3]| {
        node("server", "control-plane", ips[0])
            + &node("node-0", "worker", ips[1])
            + &node("node-1", "worker", ips[2])
    };
    [
        format!("{HEAD}{STATIC}{}", node("server", "single", server)),
        format!("{HEAD}{STATIC}{}", three([server, node_0, node_1])),
        format!("{HEAD}{DHCP}{}", three([None; 3])),
    ]
}

/// The documents of a text of YAML; each is an object of Kubernetes.
fn objects(path: &str, text: &str) {
    for event in Parser::new_from_str(text) {
        event.unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
    }
    for object in text.split("\n---\n") {
        for key in ["apiVersion: ", "kind: ", "metadata:", "  name: "] {
            let there = object.lines().filter(|line| line.starts_with(key)).count();
            assert!(there >= 1 && (key == "  name: " || there == 1), "{path}: `{key}` in\n{object}");
        }
    }
    // Nothing is ever pulled.
    let images: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("image: ")).collect();
    assert!(images.iter().all(|line| line.contains(" kiln.local/")), "{path}: {images:?}");
    let never = text.lines().filter(|line| line.trim() == "imagePullPolicy: Never").count();
    assert_eq!(images.len(), never, "{path}: each image has `imagePullPolicy: Never`");
}

#[test]
fn every_addon_renders_for_every_kind_of_cluster() {
    let project = Project::new();
    for profile in profiles() {
        let roles = project.texts(&profile);
        for (role, texts) in &roles {
            let manifests = texts.iter().filter(|(path, _)| path.starts_with("etc/kubernetes/addons/"));
            let mut addons: Vec<&str> =
                manifests.clone().map(|(path, _)| path.split('/').nth(3).unwrap()).collect();
            addons.dedup();
            let plane = role != "worker";
            assert_eq!(addons, if plane { OURS.to_vec() } else { Vec::new() }, "{role}");
            manifests.for_each(|(path, text)| objects(path, text));
            let (objects_of_checks, checks): (Vec<_>, Vec<_>) = texts
                .iter()
                .filter(|(path, _)| path.starts_with("usr/lib/kiln/checks/"))
                .partition(|(path, _)| path.ends_with(".yaml"));
            assert_eq!(checks.len(), if plane { OURS.len() } else { 0 }, "{role}");
            objects_of_checks.iter().for_each(|(path, text)| objects(path, text));
            // Every node runs pods: it has the images, and its kubelet knows the resolver.
            for image in IMAGES {
                let import = format!("import {image} kiln.local/{image}:1\n");
                assert!(texts["usr/lib/kiln/import-images"].contains(&import), "{role}: {image}");
            }
            let kubelet = &texts["var/lib/kubelet/kubelet-config.yaml"];
            assert!(kubelet.contains("\nclusterDNS: [\"10.32.0.10\"]\n"), "{kubelet}");
        }
        let plane = roles.iter().find(|(role, _)| *role != "worker").unwrap().1;
        let coredns = &plane["etc/kubernetes/addons/coredns/coredns.yaml"];
        assert!(coredns.contains("  clusterIP: 10.32.0.10\n"), "{coredns}");
        let replicas = if roles.len() > 1 { 2 } else { 1 };
        assert!(coredns.contains(&format!("  replicas: {replicas}\n")), "{coredns}");
    }
}

#[test]
fn the_shell_reads_every_check_and_script() {
    let project = Project::new();
    for profile in profiles() {
        for texts in project.texts(&profile).values() {
            let scripts = texts.iter().filter(|(path, text)| {
                path.starts_with("usr/lib/kiln/checks/") && !path.ends_with(".yaml")
                    || text.starts_with("#!/bin/sh")
            });
            for (path, text) in scripts {
                let output = duct::cmd!("sh", "-n").stdin_bytes(text.as_bytes()).unchecked();
                let output = output.stderr_capture().run().unwrap();
                assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
    }
}

#[test]
fn a_profile_without_addons_has_nothing_of_them() {
    let project = Project::new();
    for texts in project.texts(&format!("{}[options]\naddons = []\n", profiles()[1])).values() {
        assert!(!texts.keys().any(|path| path.contains("addons/") || path.contains("checks/")));
        assert!(!texts["var/lib/kubelet/kubelet-config.yaml"].contains("clusterDNS"));
        assert!(!texts["usr/lib/kiln/import-images"].contains("coredns"));
        assert!(!texts["usr/lib/kiln/check-node"].contains("kiln-addons"));
    }
}

#[test]
fn a_profile_has_the_addons_that_it_names_and_no_others() {
    let project = Project::new();
    let plan =
        project.plan(&format!("{}[options]\naddons = [\"metrics-server\", \"coredns\"]\n", profiles()[0]));
    let names: Vec<&str> = plan.addons.iter().map(|addon| addon.name.as_str()).collect();
    assert_eq!(names, ["coredns", "metrics-server"]);
}

#[test]
fn a_release_without_the_images_has_no_addons_by_default() {
    let project = Project::new();
    fs::copy(checkout().join("lockfile.toml"), project.path("lockfile.toml")).unwrap();
    assert!(project.plan(&profiles()[0]).addons.is_empty());
}

/// The files of a how-to: a line that ends in a file's name and a colon, and an indented block after it.
fn files_of_how_to() -> BTreeMap<String, String> {
    let text = fs::read_to_string(checkout().join("docs/how-to/add-an-addon.md")).unwrap();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        let named = line.strip_suffix("`:").and_then(|line| line.rsplit_once("`images/addons/"));
        if let Some((_, name)) = named {
            current = Some(name.to_owned());
        } else if let Some(name) = &current {
            match line.strip_prefix("       ") {
                Some(line) => *files.entry(name.clone()).or_default() += &format!("{line}\n"),
                None if line.is_empty() => {
                    files.entry(name.clone()).and_modify(|text| text.push('\n'));
                }
                None => current = None,
            }
        }
    }
    files
}

#[test]
fn the_addon_of_the_how_to_is_one() {
    let project = Project::new();
    fs::remove_file(project.path("images/addons")).unwrap();
    let files = files_of_how_to();
    assert_eq!(files.len(), 3, "{files:?}");
    for (name, text) in &files {
        let path = project.path("images/addons").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let profile = format!("{}[options]\naddons = [\"hello\"]\n", profiles()[1]);
    let texts = project.texts(&profile).remove("control-plane").unwrap();
    let path = "etc/kubernetes/addons/hello/hello.yaml";
    objects(path, &texts[path]);
    assert!(texts[path].contains("clusterIP: 10.32.0.20"), "{}", texts[path]);
    assert!(texts["usr/lib/kiln/checks/hello"].contains("report ok hello"));
    // Not on by default.
    assert!(project.plan(&profiles()[1]).addons.is_empty());
}

/// The recipe of the how-to: the indented block behind the line with its name.
fn role_of_how_to() -> String {
    let text = fs::read_to_string(checkout().join("docs/how-to/add-a-role.md")).unwrap();
    let (_, rest) = text.split_once("`images/storage/image.toml`:\n\n").unwrap();
    let block = rest.lines().take_while(|line| line.is_empty() || line.starts_with("       "));
    block.map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn nodes_have_the_labels_and_taints_of_their_roles() {
    let project = Project::new();
    let folder = project.path("images/storage");
    fs::create_dir_all(folder.join("units")).unwrap();
    fs::write(folder.join("image.toml"), role_of_how_to()).unwrap();
    fs::write(folder.join("units/data.service"), "[Install]\nWantedBy=multi-user.target\n").unwrap();
    let [server, node_0, node_1] = ["192.168.122.10", "192.168.122.11", "192.168.122.12"].map(Some);
    let of_profile = "labels = { zone = \"a\" }\n";
    let nodes = node("server", "control-plane", server)
        + &node("node-0", "worker", node_0)
        + &node("node-1", "storage", node_1)
        + of_profile;
    let texts = project.texts(&format!("{HEAD}{STATIC}{nodes}")).remove("control-plane").unwrap();
    let path = "etc/kubernetes/bootstrap/20-nodes.yaml";
    for event in Parser::new_from_str(&texts[path]) {
        event.unwrap_or_else(|error| panic!("{error}\n{}", texts[path]));
    }
    let of = |name: &str| {
        let mut all = texts[path].split("---\n");
        all.find(|text| text.contains(&format!("name: \"{name}\"\n"))).unwrap().to_owned()
    };
    let (server, worker, storage) = (of("server"), of("node-0"), of("node-1"));
    assert!(
        server.contains("node-role.kubernetes.io/control-plane\": \"\"") && server.contains("NoSchedule")
    );
    assert!(worker.contains("node-role.kubernetes.io/worker\"") && !worker.contains("  taints:"), "{worker}");
    for part in [
        "\"node-role.kubernetes.io/storage\": \"\"",
        "\"zone\": \"a\"",
        "key: \"dedicated\"",
        "value: \"storage\"",
    ] {
        assert!(storage.contains(part), "{part}: {storage}");
    }
    assert!(!storage.contains("node-role.kubernetes.io/worker"), "{storage}");
    let single = project.texts(&profiles()[0]).remove("single").unwrap();
    assert!(!single[path].contains("  taints:"), "{}", single[path]);
}
