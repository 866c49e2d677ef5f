//! The plans of the project's own profiles.

use std::path::Path;

use builder::ground::arch::Arch;
use builder::lockfile::format::Release;
use builder::plan::{Plan, Request};
use builder::profile::RUNTIME;
use fs_err as fs;

/// A recipe, and the component that it needs.
const CRI_O: &str = "cri-o";

/// The checkout.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every profile with every release of the lock, and with CRI-O where the release has it; and, with the default
/// release, those of the tests' with the parts that options bring.
pub fn plans() -> Vec<Plan> {
    let lock = builder::lockfile::Lock::load(&builder::lockfile::path(project())).unwrap();
    let profiles = builder::profile::names(&project().join("profiles"));
    let folder = tempfile::tempdir().unwrap();
    let mut plans = Vec::new();
    let parts = ["tests/available.toml", "tests/upgrade.toml"];
    let parts = parts.map(|path| project().join(path).to_str().unwrap().to_owned());
    for (name, profile) in profiles
        .iter()
        .flat_map(|name| [(name, name.clone()), (name, with_cri_o(name, folder.path()))])
        .chain(parts.iter().map(|path| (path, path.clone())))
    {
        let is_for = |(release, from): &(&String, &Release)| {
            let has_addons = !parts.contains(&profile) || **release == lock.default_release;
            has_addons && (profile == *name || from.component.contains_key(CRI_O))
        };
        for (release, _) in lock.release.iter().filter(is_for) {
            let request = Request {
                project: project().to_owned(),
                profile: profile.clone(),
                release: Some(release.clone()),
                arch: Arch::Amd64,
                lockfile: builder::lockfile::path(project()),
                images: None,
            };
            match Plan::resolve(&request) {
                // A kubelet of before takes no settings, and says so.
                Err(error) if error.to_string().contains("`settings.kubelet` needs Kubernetes 1.30") => {}
                plan => plans.push(plan.unwrap()),
            }
        }
    }
    for runtime in [RUNTIME, CRI_O] {
        assert!(plans.iter().any(|plan| plan.profile.options.runtime.get_ref() == runtime), "{runtime}");
    }
    plans
}

/// The file of a profile with CRI-O.
fn with_cri_o(name: &str, folder: &Path) -> String {
    let text = fs::read_to_string(project().join(format!("profiles/{name}.toml"))).unwrap();
    let path = folder.join(format!("{name}.toml"));
    let option = format!("[options]\nruntime = \"{CRI_O}\"\n");
    let text = match text.contains("[options]\n") {
        true => text.replace("[options]\n", &option),
        false => format!("{text}\n{option}"),
    };
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
