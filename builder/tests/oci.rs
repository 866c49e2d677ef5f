//! Container images of a real registry: from a reference to the archive in an image, and everything on the way that
//! may be wrong.

pub(crate) mod image;
mod registry;
mod wrong;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::project::Project;
use assert_cmd::Command;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use builder::ground::arch::Arch;
use builder::lockfile::Lock;
use builder::lockfile::format::Content;
use builder::role::Components;
use builder::stage::container;
use builder::store::Store;
use fs_err as fs;
use image::{Image, digest};
use registry::{PASSWORD, Registry, USER};

/// The real program in a project, for a site whose machines know the registry's authority and credentials.
struct Site {
    project: Project,
    variables: BTreeMap<&'static str, String>,
}

impl Site {
    fn new(registry: Option<&Registry>) -> Self {
        let project = Project::with_content();
        let mirror = format!("[mirror]\ndebian = 'file://{}'\n", project.path("mirror/debian").display());
        project.write("home/.config/kiln/config.toml", &mirror);
        let mut variables = BTreeMap::from([("HOME", project.path("home").display().to_string())]);
        if let Some(registry) = registry {
            let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
            let config = serde_json::json!({ "auths": { &registry.address: { "auth": auth } } });
            project.write("home/.docker/config.json", &config.to_string());
            variables.insert("SSL_CERT_FILE", registry.authority().display().to_string());
        }
        Self { project, variables }
    }

    fn without(mut self, variable: &str) -> Self {
        self.variables.remove(variable);
        self
    }

    /// Installs a helper of Docker's for credentials, which reads what it is asked for as they all do.
    fn helper(&mut self, name: &str, script: &str) {
        let program = format!("bin/docker-credential-{name}");
        let path = self.project.path(&program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::script::write(&path, &format!("#!/bin/sh\ncat >/dev/null\n{script}\n"));
        self.variables.insert("PATH", self.project.path("bin").display().to_string());
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::cargo_bin("builder").unwrap();
        command.env_clear().envs(&self.variables).current_dir(self.project.path(""));
        let output = command.args(args).args(["--store", "store"]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(!stderr.contains(PASSWORD), "{stderr}");
        (output.status.code().unwrap(), stdout, stderr)
    }

    /// Lets the role install an image of the release.
    fn install(&self, name: &str) {
        let path = self.project.path("images/tiny/image.toml");
        let line = format!("\"images:{name}.tar\" = \"/usr/lib/kiln/images/{name}.tar\"\n");
        let text = fs::read_to_string(&path).unwrap() + &line;
        fs::write(path, text).unwrap();
    }

    /// Writes an image into the lock by hand, and lets the role install it.
    fn with_image(self, reference: &str, digest: &str) -> Self {
        let path = self.project.path("lockfile.toml");
        let entry = format!(
            "[release.upstream.image.web]\nreference = \"{reference}\"\ndigest = {{ amd64 = \"{digest}\" }}\n\n[deb]"
        );
        let text = fs::read_to_string(&path).unwrap().replacen("[deb]", &entry, 1);
        fs::write(path, text).unwrap();
        self.install("web");
        self
    }

    fn fetch(&self) -> (i32, String) {
        let (code, _, stderr) = self.run(&["fetch", "--profile", "small"]);
        (code, stderr)
    }

    /// What the store has of an image, sorted.
    fn stored(&self, image: &Image) -> Vec<String> {
        let files = self.project.path("store/files");
        let mut there: Vec<String> = image
            .all()
            .filter(|(digest, bytes)| {
                fs::read(files.join(&digest[7..])).is_ok_and(|found| {
                    assert_eq!(found, *bytes);
                    true
                })
            })
            .map(|(digest, _)| digest)
            .collect();
        there.sort();
        there
    }

    fn store(&self) -> PathBuf {
        self.project.path("store")
    }
}

fn with_index(image: &Image, arch: &str) -> Vec<String> {
    let mut parts = image.parts(arch);
    parts.push(image.digest());
    parts.sort();
    parts
}

fn untar(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(fs::File::open(path).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), bytes);
    }
    files
}

#[test]
fn a_reference_becomes_a_digest_of_the_lock_and_an_archive_in_the_image() {
    let Some(registry) = Registry::start() else { return };
    let image = Image::new("web", &["amd64", "arm64"]);
    registry.push("apps/web:1.0", &image);
    let site = Site::new(Some(&registry));
    let reference = registry.reference("apps/web:1.0");
    let url = format!("oci://{reference}");
    let before = fs::read_to_string(site.project.path("lockfile.toml")).unwrap();
    let (code, stdout, stderr) = site.run(&["lock", "add", "web", &url, "--release", "upstream"]);
    assert_eq!((code, stdout), (0, format!("{}  {reference}\n", image.digest())), "{stderr}");
    // For the architecture that was asked for, and no other.
    assert_eq!(site.stored(&image), with_index(&image, "amd64"));
    let after = fs::read_to_string(site.project.path("lockfile.toml")).unwrap();
    assert!(before.lines().all(|line| after.lines().any(|other| other == line)), "{after}");
    let lock = Lock::load(&site.project.path("lockfile.toml")).unwrap();
    let entry = &lock.release["upstream"].image["web"];
    let Content::Registry(digests) = &entry.content else { panic!("{entry:?}") };
    assert_eq!(digests[&Arch::Amd64].to_string(), image.digest());

    // The archive is a layout of this one image, by the name that pods use.
    let store = Store::open(&site.store()).unwrap();
    let archive = container::archive(&store, entry, None, &Components::new(), Arch::Amd64, 1000).unwrap();
    let files = untar(&archive);
    let blobs: Vec<String> = files
        .iter()
        .filter_map(|(name, bytes)| {
            let hex = name.strip_prefix("blobs/sha256/")?;
            assert_eq!(digest(bytes), format!("sha256:{hex}"));
            Some(format!("sha256:{hex}"))
        })
        .collect();
    assert_eq!(blobs, image.parts("amd64"));
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let manifest = &index["manifests"][0];
    assert_eq!(manifest["annotations"]["io.containerd.image.name"], reference.as_str());
    assert_eq!(manifest["digest"], digest(&image.manifests["amd64"]));
    assert_eq!(manifest["size"], image.manifests["amd64"].len());
    drop(store);

    // Everything is there: nobody is asked any more, and nothing of it is garbage.
    registry.stop();
    site.install("web");
    let (code, stderr) = site.fetch();
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = site.run(&["store", "gc"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(site.stored(&image), with_index(&image, "amd64"));
    // The same again has a name that is taken.
    let (code, _, stderr) = site.run(&["lock", "add", "web", &url, "--release", "upstream"]);
    assert!(
        code == 1 && stderr.contains("the release `upstream` has a container image `web` already"),
        "{stderr}"
    );
}

#[test]
fn credentials_come_from_the_usual_places() {
    let Some(registry) = Registry::start() else { return };
    let image = Image::new("web", &["amd64"]);
    registry.push("web:1", &image);
    let reference = registry.reference("web:1");
    let fetched = |site: &Site| {
        let (code, stderr) = site.fetch();
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(site.stored(&image), with_index(&image, "amd64"));
    };
    // A netrc file; docker's has none for this registry.
    let site = Site::new(Some(&registry)).with_image(&reference, &image.digest());
    site.project.write("home/.docker/config.json", "{}");
    site.project.write("home/.netrc", &format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n"));
    fetched(&site);
    // A prefix map, whose address has them; the first candidate does not answer.
    let mut site = Site::new(Some(&registry)).with_image("registry.example/web:1", &image.digest());
    site.project.write("home/.docker/config.json", "{}");
    let own = format!("https://{USER}:p%40ss%3Aword@{}", registry.address);
    let maps = format!("https://registry.example=http://127.0.0.1:9 https://registry.example={own}");
    site.variables.insert("KILN_MIRRORS", maps);
    fetched(&site);
    // A folder of this machine, which is an OCI layout: no network is needed.
    let mut site = Site::new(None).with_image("registry.example/apps/web:1", &image.digest());
    for (digest, bytes) in image.all() {
        let path = site.project.path("layouts/apps/web/blobs/sha256").join(&digest[7..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let layouts = format!("https://registry.example=file://{}", site.project.path("layouts").display());
    site.variables.insert("KILN_MIRRORS", layouts);
    fetched(&site);
}
