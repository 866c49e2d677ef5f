//! Components that a person wrote into the lock: files of this machine, and files that nobody publishes.

use builder::ground::repro::sha256_hex;
use builder::lockfile::Lock;
use fs_err as fs;

use super::Project;

/// What the recipes install of Kubernetes, and the program of the image `pause`.
const PROGRAMS: [&str; 7] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "pause",
];

/// A project whose lock has this instead of the build of Kubernetes.
fn with_kubernetes(component: &str) -> Project {
    let project = Project::new();
    project.edit("lockfile.toml", "kubernetes = { build = \"kubernetes\" }", component);
    project
}

/// What a build of the profile `single` says, without the note that depends on the day.
fn build(project: &Project, args: &[&str]) -> String {
    let said = project.build(&[&["--profile", "single", "--release", "debian"], args].concat());
    said.lines().filter(|line| !line.starts_with("note: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_file_of_this_machine_is_verified_first() {
    let hash = |name: &str| if name == "pause" { "0".repeat(64) } else { sha256_hex(b"program") };
    let hashes = PROGRAMS.map(|name| format!("{name} = \"{}\"", hash(name))).join(", ");
    let project = with_kubernetes(&format!(
        "kubernetes = {{ path = \"bin/{{arch}}\", sha256 = {{ amd64 = {{ {hashes} }} }} }}"
    ));
    insta::assert_snapshot!(build(&project, &["--offline"]));
    fs::create_dir_all(project.path("bin/amd64")).unwrap();
    for name in PROGRAMS {
        fs::write(project.path("bin/amd64").join(name), "program").unwrap();
    }
    insta::assert_snapshot!(build(&project, &["--offline"]));
    // The one that is right; the other did not stay.
    assert_eq!(fs::read_dir(project.path("store/files")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(project.path("store/tmp")).unwrap().count(), 0);
    assert!(!project.path("out").exists() && !project.path("secrets").exists());
}

#[test]
fn a_component_without_a_file_for_the_architecture_is_named() {
    let (urls, hash) = ("urls = [\"https://dl.example/kubelet\"]", "0".repeat(64));
    let project = with_kubernetes(&format!(
        "kubernetes = {{ url = [{{ {urls}, file = \"kubelet\", sha256 = {{ arm64 = \"{hash}\" }} }}] }}"
    ));
    project.edit("lockfile.toml", "program = \"kubernetes:pause\"", "program = \"kubernetes:kubelet\"");
    insta::assert_snapshot!(project.refuse(&["--profile", "single", "--release", "debian"]));
}

#[test]
fn an_upstream_host_that_does_not_answer_is_named() {
    let download = |name: &str| {
        let (url, hash) = (format!("http://127.0.0.1:9/{{arch}}/{name}"), sha256_hex(name.as_bytes()));
        format!("{{ urls = [\"{url}\"], file = \"{name}\", sha256 = {{ amd64 = \"{hash}\" }} }}")
    };
    let project =
        with_kubernetes(&format!("kubernetes = {{ url = [{}] }}", PROGRAMS.map(download).join(", ")));
    // The packages are there by name, which is all that a fetch looks at.
    let lock = Lock::load(&project.path("lockfile.toml")).unwrap();
    fs::create_dir_all(project.path("store/files")).unwrap();
    for deb in lock.deb.values().flatten() {
        fs::write(project.path("store/files").join(deb.sha256.as_str()), "").unwrap();
    }
    let said = build(&project, &[]);
    // Several are on their way at once; and why there is no connection is the system's wording.
    let of = r"kubernetes: [a-z-]+: .* \(tried http://127.0.0.1:9/amd64/[a-z-]+\)";
    insta::with_settings!({ filters => [(of, "kubernetes: FILE: CAUSE (tried URL/amd64/FILE)")] }, {
        insta::assert_snapshot!(said);
    });
    assert!(!project.path("out").exists() && !project.path("secrets").exists());
}
