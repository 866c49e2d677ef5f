//! A container image that a registry has and a machine brings along: busybox in a compressed layer, a message in a plain
//! one. Its name leads to the registry of this test by a prefix map, so that the image is always the same.

use std::path::{Path, PathBuf};

use builder::deb;
use builder::ground::arch::Arch;
use builder::lockfile::Lock;
use fs_err as fs;
use tar::{Builder, Header};

use crate::oci::image::{self, Image, Layer};
use crate::oci::registry::{PASSWORD, Registry, USER};
use crate::support::{self, BUILDER, project, secret, text};

/// The name that pods use.
pub const REFERENCE: &str = "registry.example/apps/shell:1.0";

/// What its message says.
pub const MESSAGE: &str = "from a registry\n";

/// Where Debian has the authorities that the host knows.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A registry that has the image.
pub struct Shell {
    registry: Registry,
    digest: String,
}

impl Shell {
    /// None, and it says why, when this host has no registry to start.
    pub fn start() -> Option<Self> {
        let registry = Registry::start()?;
        let image = Image::of_layers(&["amd64"], |_| layers(), image::CONFIG);
        registry.push("apps/shell:1.0", &image);
        Some(Self { registry, digest: image.digest() })
    }

    /// The project's lockfile, whose busybox is this image.
    pub fn lockfile(&self) -> String {
        let text = fs::read_to_string(project().join("lockfile.toml")).unwrap();
        let head = format!("[release.\"{}\".image.busybox]\n", support::release());
        let (before, rest) = text.split_once(&head).unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        let digest = &self.digest;
        format!("{before}{head}reference = \"{REFERENCE}\"\ndigest = {{ amd64 = \"{digest}\" }}\n\n{after}")
    }

    /// Builds a profile into a folder with a lockfile. Nobody can ask the registry afterwards.
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    pub fn build(self, profile: &str, lockfile: &str, out: &Path) {
        let (path, secret) = (out.join("lockfile.toml"), secret(out, 7));
        fs::write(&path, lockfile).unwrap();
        let own = format!("https://{USER}:{}@{}", PASSWORD.replace('@', "%40"), self.registry.address);
        let mut build = std::process::Command::new(BUILDER);
        build.current_dir(project()).args(["build", "--profile", profile, "--out", text(out)]);
        build.args(["--lockfile", text(&path), "--secret", text(&secret)]);
        build.env("KILN_MIRRORS", format!("https://registry.example={own}"));
        // The file is all that counts, and a build asks for Go modules too: the host's authorities and this registry's.
        let authorities = out.join("authorities.pem");
        let known =
            std::env::var_os("SSL_CERT_FILE").map_or_else(|| PathBuf::from(AUTHORITIES), PathBuf::from);
        let all = [fs::read(known).unwrap(), fs::read(self.registry.authority()).unwrap()].concat();
        fs::write(&authorities, all).unwrap();
        support::run(build.env("SSL_CERT_FILE", authorities));
        self.registry.stop();
    }
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
        Layer::plain(layer("etc/message", MESSAGE.as_bytes())),
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
