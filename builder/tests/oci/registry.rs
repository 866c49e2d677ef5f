//! Debian's docker-registry on the loopback, by TLS with an authority of its own and with basic authentication.

#![allow(dead_code, reason = "each test uses its part")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use duct::{Handle, cmd};
use fs_err as fs;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::image::{INDEX, Image, MANIFEST, digest};
use crate::skip::skip;

pub const USER: &str = "kiln";
pub const PASSWORD: &str = "p@ss:word";

/// `htpasswd -nbB` of the two.
const HTPASSWD: &str = "kiln:$2y$05$hk7hQzBy/B4wittI.b52o.0sB0aLfTABa1ZyKcfDiKKhp4tvYc2x6";

/// Where Debian's package puts it.
const PROGRAM: &str = "/usr/bin/docker-registry";

const OPENSSL: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = kiln test
[authority]
basicConstraints = critical,CA:TRUE
[server]
basicConstraints = critical,CA:FALSE
subjectAltName = IP:127.0.0.1
";

/// A registry that runs until it is dropped.
pub struct Registry {
    folder: tempfile::TempDir,
    process: Handle,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Registry {
    /// None, with the reason on standard error, where it is not installed.
    pub fn start() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            skip(&format!("there is no {PROGRAM}; `./setup tests` installs it on Debian"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let root = folder.path().display().to_string();
        fs::write(folder.path().join("htpasswd"), format!("{HTPASSWD}\n")).unwrap();
        let configuration = serde_json::json!({
            "version": "0.1",
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": format!("{root}/data") } },
            "http": {
                "addr": address,
                "tls": { "certificate": format!("{root}/server.pem"), "key": format!("{root}/server.key") },
            },
            "auth": { "htpasswd": { "realm": "kiln", "path": format!("{root}/htpasswd") } },
        });
        let file = folder.path().join("config.yml");
        // JSON is YAML.
        fs::write(&file, configuration.to_string()).unwrap();
        let log = folder.path().join("log");
        let process = cmd!(PROGRAM, "serve", file).stderr_to_stdout().stdout_path(&log).start().unwrap();
        for _ in 0..200 {
            if TcpStream::connect(&address).is_ok() {
                return Some(Self { folder, process, address });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not listen: {}", fs::read_to_string(log).unwrap());
    }

    /// Ends it; its authority's certificate stays.
    pub fn stop(&self) {
        self.process.kill().unwrap();
    }

    /// Its authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The reference of something that it has.
    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Uploads an image under a name and tag.
    pub fn push(&self, name_and_tag: &str, image: &Image) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority =
            Certificate { encoding: CertificateEncoding::Pem, data: fs::read(self.authority()).unwrap() };
        let config = ClientConfig { extra_root_certificates: vec![authority], ..ClientConfig::default() };
        let client = Client::try_from(config).unwrap();
        let reference: Reference = self.reference(name_and_tag).parse().unwrap();
        let auth = RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned());
        let upload = async {
            client.auth(&reference, &auth, RegistryOperation::Push).await.unwrap();
            for (digest, blob) in &image.blobs {
                client.push_blob(&reference, blob.clone(), digest).await.unwrap();
            }
            for manifest in image.manifests.values() {
                let by_digest = reference.clone_with_digest(digest(manifest));
                let kind = MANIFEST.parse().unwrap();
                client.push_manifest_raw(&by_digest, manifest.clone(), kind).await.unwrap();
            }
            client.push_manifest_raw(&reference, image.index.clone(), INDEX.parse().unwrap()).await.unwrap();
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(upload);
    }

    /// Replaces what is stored under a digest, behind the registry's back.
    pub fn damage(&self, digest: &str, bytes: &[u8]) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        let file = blobs.join(&hex[..2]).join(hex).join("data");
        assert!(file.exists(), "{}", file.display());
        fs::write(file, bytes).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

fn certificates(folder: &Path) {
    fs::write(folder.join("openssl.cnf"), OPENSSL).unwrap();
    let make = |name: &str, kind: &str, by: &[&str]| {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let mut args = vec!["req", "-x509", "-config", "openssl.cnf", "-extensions", kind, "-days", "2"];
        args.extend(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256"]);
        args.extend(["-keyout", &key, "-out", &certificate]);
        args.extend(by);
        cmd("openssl", args).dir(folder).stderr_to_stdout().stdout_capture().run().unwrap();
    };
    make("authority", "authority", &["-subj", "/CN=kiln test authority"]);
    make("server", "server", &["-CA", "authority.pem", "-CAkey", "authority.key"]);
}
