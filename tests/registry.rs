//! A real machine has a container image that a registry had: its digest stands in the lockfile, its two layers came to
//! the build, and containerd runs it without asking anybody.

#[path = "../builder/tests/oci/image.rs"]
mod image;
mod lab;
#[path = "../builder/tests/oci/registry.rs"]
mod registry;
mod support;

use std::path::{Path, PathBuf};

use builder::deb;
use builder::lock::Lock;
use builder::lock::format::Arch;
use fs_err as fs;
use image::{Image, Layer};
use lab::eventually;
use registry::{PASSWORD, Registry, USER};
use support::{BUILDER, End, PROFILE, builder, fresh, project, secret, text};
use tar::{Builder, Header};

/// The name that pods use; a prefix map leads to the registry of this test, so that the image is always the same.
const REFERENCE: &str = "registry.example/apps/shell:1.0";

#[test]
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn an_image_of_a_registry_runs_on_a_machine_without_one() {
    let Some(registry) = Registry::start() else { return };
    let image = Image::of_layers(&["amd64"], |_| layers(), image::CONFIG);
    registry.push("apps/shell:1.0", &image);
    let out = fresh("registry");
    let (lockfile, secret) = (lockfile(&out, &image.digest()), secret(&out, 7));
    let _ends = End(PROFILE, &out);

    let own = format!("https://{USER}:{}@{}", PASSWORD.replace('@', "%40"), registry.address);
    let mut build = std::process::Command::new(BUILDER);
    build.current_dir(project()).args(["build", "--profile", PROFILE, "--out", text(&out)]);
    build.args(["--lockfile", text(&lockfile), "--secret", text(&secret)]);
    build.env("KILN_MIRRORS", format!("https://registry.example={own}"));
    support::run(build.env("SSL_CERT_FILE", registry.authority()));
    registry.stop();

    let results = ["--profile", PROFILE, "--out", text(&out)];
    builder(&[&["up", "--node", "node-0", "--wait", "login"], &results[..]].concat());
    let shell = format!("ctr --namespace k8s.io run --rm {REFERENCE} probe /bin/busybox cat /etc/message");
    let command = format!("systemctl is-active --quiet kiln-images && {shell} || echo not yet");
    let said = eventually(|| {
        let said = builder(&[&["ssh"], &results[..], &["node-0", "--", &command]].concat());
        if said.contains("not yet") { Err(said) } else { Ok(said) }
    });
    assert_eq!(said, "from a registry\n");
}

/// The project's lockfile, whose busybox is the registry's image.
fn lockfile(out: &Path, digest: &str) -> PathBuf {
    let text = fs::read_to_string(project().join("lockfile.toml")).unwrap();
    let (before, rest) = text.split_once("[release.debian.image.busybox]\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let entry = format!("reference = \"{REFERENCE}\"\ndigest = {{ amd64 = \"{digest}\" }}\n");
    let path = out.join("lockfile.toml");
    fs::write(&path, format!("{before}[release.debian.image.busybox]\n{entry}\n{after}")).unwrap();
    path
}

/// busybox, compressed as most registries have it, and below it a message as plain tar.
fn layers() -> [Layer; 2] {
    let store = support::store();
    support::root("components");
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    let package =
        lock.packages("components", Arch::Amd64).find(|package| package.name == "busybox-static").unwrap();
    let archive = store.join("files").join(package.sha256.as_str());
    let mut members = deb::read_files(&archive, |path| path == "usr/bin/busybox").unwrap();
    let program = members.pop().unwrap().content;
    [
        Layer::compressed(&layer("bin/busybox", &program)),
        Layer::plain(layer("etc/message", b"from a registry\n")),
    ]
}

fn layer(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_mode(0o755);
    header.set_size(bytes.len() as u64);
    out.append_data(&mut header, path, bytes).unwrap();
    out.into_inner().unwrap()
}
