//! The certificates as another implementation sees them: `openssl` must be there, a test without it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use firstboot::schema::{Cluster, Network, Node, VERSION};
use fs_err as fs;

use crate::ground::error::Explain;
use crate::pki::error::PkiError;
use crate::pki::options::{DAY, PkiOptions, YEAR};
use crate::pki::secret::ClusterSecret;
use crate::pki::{Certificate, Issued, Pki};
use crate::profile::Encryption;
use crate::profile::Options;
use crate::profile::endpoint::Endpoint;
use crate::role::Role;

/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600;

/// A cluster of one control plane node and two workers.
pub(crate) fn cluster() -> Cluster {
    let node = |name: &str, role: &str, last: u8| Node {
        name: name.into(),
        role: role.into(),
        duties: self::role(role).duties(),
        mac: format!("52:54:00:00:00:{last:02}").parse().unwrap(),
        ip: Some([192, 168, 122, last].into()),
        pod_cidr: Some(format!("10.200.{last}.0/24").parse().unwrap()),
    };
    Cluster {
        version: VERSION,
        name: "demo".into(),
        release: "debian".into(),
        domain: "kubernetes.local".into(),
        cluster_domain: "cluster.local".into(),
        pod_cidr: "10.200.0.0/16".parse().unwrap(),
        service_cidr: "10.32.0.0/24".parse().unwrap(),
        network: Network { cidr: "192.168.122.0/24".parse().ok(), gateway: None, dns: Vec::new() },
        metadata: None,
        nodes: vec![
            node("server", "control-plane", 10),
            node("node-0", "worker", 11),
            node("node-1", "worker", 12),
        ],
    }
}

/// A role of the project.
pub(crate) fn role(name: &str) -> &'static Role {
    static ROLES: LazyLock<BTreeMap<&str, Role>> = LazyLock::new(|| {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let load = |name| {
            (
                name,
                Role::load(&crate::role::Recipes::of(project, None), name, &Options::default().slots())
                    .unwrap(),
            )
        };
        ["control-plane", "single", "worker"].map(load).into()
    });
    &ROLES[name]
}

/// What the recipes of a cluster's nodes ask for.
pub(crate) fn asked(cluster: &Cluster) -> impl Iterator<Item = (&Node, &Certificate)> {
    cluster
        .nodes
        .iter()
        .flat_map(|node| role(&node.role).certificates().map(move |certificate| (node, certificate)))
}

/// The certificates of [`cluster`] for a secret of 32 equal bytes.
pub(crate) fn pki(byte: u8) -> Pki {
    with(byte, &PkiOptions::new(EPOCH))
}

fn with(byte: u8, options: &PkiOptions) -> Pki {
    derive(byte, &cluster(), options).unwrap()
}

fn derive(byte: u8, cluster: &Cluster, options: &PkiOptions) -> Result<Pki, PkiError> {
    Pki::derive(&ClusterSecret::from_bytes([byte; 32]), cluster, asked(cluster), options)
}

fn openssl(args: &[&str]) -> String {
    duct::cmd("openssl", args).env("LC_ALL", "C").stderr_to_stdout().read().unwrap()
}

/// Writes every certificate and key as `LABEL.crt` and `LABEL.key`, with `-` for the slash.
fn written(pki: &Pki) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for issued in pki.list() {
        fs::write(file(folder.path(), &issued.label, "crt"), &issued.certificate).unwrap();
        fs::write(file(folder.path(), &issued.label, "key"), issued.key.expose()).unwrap();
    }
    folder
}

fn file(folder: &Path, label: &str, extension: &str) -> String {
    format!("{}/{}.{extension}", folder.display(), label.replace('/', "-"))
}

#[test]
fn openssl_accepts_every_certificate_for_its_purpose_and_no_other() {
    let pki = pki(1);
    let folder = written(&pki);
    let verify = |issued: &Issued, ca: &str, purpose: &str| {
        let args = [
            "verify",
            "-x509_strict",
            "-attime",
            &EPOCH.to_string(),
            "-purpose",
            purpose,
            "-CAfile",
            &file(folder.path(), ca, "crt"),
            &file(folder.path(), &issued.label, "crt"),
        ];
        duct::cmd("openssl", args).stdout_null().stderr_null().unchecked().run().unwrap().status.success()
    };
    let leaves: Vec<_> = pki.list().filter(|issued| issued.issuer != issued.label).collect();
    assert_eq!((leaves.len(), pki.list().count()), (14, 17));
    for leaf in leaves {
        let server = leaf.label == "kube-api-server" || leaf.label.contains('/');
        let client = leaf.label != "kube-api-server";
        assert_eq!(verify(leaf, leaf.issuer, "sslserver"), server, "{}", leaf.label);
        assert_eq!(verify(leaf, leaf.issuer, "sslclient"), client, "{}", leaf.label);
        let purpose = if client { "sslclient" } else { "sslserver" };
        for ca in ["kubernetes-ca", "etcd-ca", "front-proxy-ca"] {
            assert_eq!(verify(leaf, ca, purpose), ca == leaf.issuer, "{} by {ca}", leaf.label);
        }
    }
}

#[test]
fn names_usages_and_dates_are_those_of_the_design() {
    let pki = pki(1);
    let folder = written(&pki);
    let mut seen = String::new();
    for issued in pki.list() {
        let path = file(folder.path(), &issued.label, "crt");
        seen += &format!("== {}\n", issued.label);
        let extensions = "subjectAltName,keyUsage,extendedKeyUsage,basicConstraints";
        seen += &openssl(&[
            "x509", "-in", &path, "-noout", "-subject", "-issuer", "-dates", "-nameopt", "RFC2253", "-ext",
            extensions,
        ]);
        seen += "\n";
        let subject = openssl(&["x509", "-in", &path, "-noout", "-subject", "-nameopt", "oneline,-space_eq"]);
        assert_eq!(subject, format!("subject={}", issued.subject()));
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn keys_belong_to_their_certificates_and_are_sec1() {
    let pki = pki(1);
    let folder = written(&pki);
    let mut serials = BTreeSet::new();
    for issued in pki.list() {
        assert!(issued.key.expose().starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
        assert!(!issued.key.expose().contains('\r') && issued.key.expose().ends_with("-----\n"));
        assert!(!issued.certificate.contains('\r') && issued.certificate.ends_with("-----\n"));
        let key = file(folder.path(), &issued.label, "key");
        let certificate = file(folder.path(), &issued.label, "crt");
        assert!(openssl(&["ec", "-in", &key, "-noout", "-check"]).contains("valid"), "{}", issued.label);
        assert_eq!(
            openssl(&["pkey", "-in", &key, "-pubout"]),
            openssl(&["x509", "-in", &certificate, "-noout", "-pubkey"])
        );
        let serial = openssl(&["x509", "-in", &certificate, "-noout", "-serial"]);
        assert_eq!(serial.len(), "serial=".len() + 40);
        assert!(('4'..='7').contains(&serial.chars().nth(7).unwrap()), "{serial}");
        assert!(serials.insert(serial));
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_another_secret_none_of_them() {
    assert!(pki(1) == pki(1));
    let (one, two) = (pki(1), pki(2));
    for (a, b) in one.list().zip(two.list()) {
        assert_eq!(a.label, b.label);
        assert!(a.key != b.key && a.certificate != b.certificate, "{}", a.label);
    }
    assert!(one.encryption_config() != two.encryption_config());
    let keys: BTreeSet<_> = one.list().map(|issued| issued.key.expose()).collect();
    assert_eq!(keys.len(), one.list().count());
}

/// Guards the format: a new version of a library, or of this module, must not change a cluster's certificates.
#[test]
fn a_known_secret_gives_a_known_certificate() {
    let folder = written(&pki(1));
    let print = |label| {
        openssl(&["x509", "-in", &file(folder.path(), label, "crt"), "-noout", "-fingerprint", "-sha256"])
    };
    insta::assert_snapshot!(print("kubernetes-ca"), @"sha256 Fingerprint=B2:7C:F6:49:6B:7C:3B:55:38:21:EE:D6:6A:D1:05:FE:80:50:C2:4E:91:9E:66:E7:C7:65:7C:8D:0E:47:09:6D");
    insta::assert_snapshot!(print("node/node-0"), @"sha256 Fingerprint=55:0F:F8:9E:10:C4:94:58:D0:DB:63:D3:11:53:CD:57:E0:20:8A:78:80:53:C3:65:B5:79:23:30:F7:D5:1F:61");
}

/// HKDF-SHA256 as OpenSSL computes it, which gives what RFC 5869 (A.1) publishes.
#[test]
fn openssl_derives_the_same() {
    let hkdf = |key: &str, salt: &str, info: &str, length: usize| {
        let options = [("digest", "SHA2-256"), ("hexkey", key), ("hexsalt", salt), ("hexinfo", info)];
        let options = options.map(|(name, value)| format!("{name}:{value}"));
        let length = length.to_string();
        let mut args = vec!["kdf", "-keylen", &length];
        options.iter().for_each(|option| args.extend(["-kdfopt", option]));
        args.push("HKDF");
        openssl(&args).trim().replace(':', "").to_lowercase()
    };
    let published = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    let info = "f0f1f2f3f4f5f6f7f8f9";
    assert_eq!(hkdf(&"0b".repeat(22), "000102030405060708090a0b0c", info, 42), published);
    let ours: [u8; 48] = ClusterSecret::from_bytes([7; 32]).derive("node/node-0", &1_u32.to_be_bytes());
    let info = hex::encode([b"node/node-0".as_slice(), &1_u32.to_be_bytes()].concat());
    assert_eq!(hkdf(&"07".repeat(32), &hex::encode("kiln/v1"), &info, 48), hex::encode(ours));
}

#[test]
fn a_rotation_changes_one_key() {
    let before = pki(1);
    for label in ["node/node-0", "etcd-ca", "service-accounts"] {
        let mut options = PkiOptions::new(EPOCH);
        options.generations.insert(label.into(), 2);
        let after = with(1, &options);
        let changed: Vec<_> =
            before.list().zip(after.list()).filter(|(a, b)| a.key != b.key).map(|(a, _)| &a.label).collect();
        assert_eq!(changed, [label]);
        for (a, b) in before.list().zip(after.list()) {
            let signed_by_it = a.issuer == label || a.label == label;
            assert_eq!(a.certificate != b.certificate, signed_by_it, "{} by {}", a.label, a.issuer);
        }
        assert!(before.encryption_config() == after.encryption_config());
    }
}

#[test]
fn other_names_keep_the_key_and_change_the_serial_number() {
    let mut options = PkiOptions::new(EPOCH);
    options.api_server_names = vec!["lb.example.org".into(), "203.0.113.7".into()];
    let (before, after) = (pki(1), with(1, &options));
    let label = "kube-api-server";
    assert!(before.issued(label).unwrap().key == after.issued(label).unwrap().key);
    let serial =
        |pki: &Pki| openssl(&["x509", "-in", &file(written(pki).path(), label, "crt"), "-noout", "-serial"]);
    let folder = written(&after);
    assert_ne!(serial(&before), serial(&after));
    for name in ["-checkhost=lb.example.org", "-checkip=203.0.113.7", "-checkip=10.32.0.1"] {
        let (option, value) = name.split_once('=').unwrap();
        let answer = openssl(&["x509", "-in", &file(folder.path(), label, "crt"), "-noout", option, value]);
        assert!(answer.contains("does match"), "{answer}");
    }
}

#[test]
fn old_encryption_keys_stay_readable() {
    let mut options = PkiOptions::new(EPOCH);
    let first = pki(1).encryption_config().expose().to_owned();
    options.generations.insert("encryption/aescbc".into(), 2);
    let second = with(1, &options).encryption_config().expose().to_owned();
    let key1 = first.lines().find(|line| line.contains("secret:")).unwrap();
    let keys: Vec<_> = second.lines().filter(|line| line.contains("secret:")).collect();
    assert_eq!((keys.len(), keys[1]), (2, key1));
    options.encryption = Encryption::Secretbox;
    let other = with(1, &options).encryption_config().expose().to_owned();
    assert!(!other.contains(key1) && other.contains("- secretbox:"));
    insta::with_settings!({filters => vec![(r"secret: [A-Za-z0-9+/]{43}=", "secret: [32 bytes]")]}, {
        insta::assert_snapshot!(second, @"
        kind: EncryptionConfiguration
        apiVersion: apiserver.config.k8s.io/v1
        resources:
          - resources:
              - secrets
            providers:
              - aescbc:
                  keys:
                    - name: key2
                      secret: [32 bytes]
                    - name: key1
                      secret: [32 bytes]
              - identity: {}
        ");
    });
}

#[test]
fn a_kubeconfig_names_user_and_server() {
    let text = pki(1).kubeconfig("node/node-0", "https://server.kubernetes.local:6443").unwrap();
    insta::with_settings!({filters => vec![(r"data: [A-Za-z0-9+/=]{100,}", "data: [base64]")]}, {
        insta::assert_snapshot!(text.expose(), @r#"
        apiVersion: v1
        kind: Config
        clusters:
          - name: "demo"
            cluster:
              certificate-authority-data: [base64]
              server: https://server.kubernetes.local:6443
        contexts:
          - name: default
            context:
              cluster: "demo"
              user: "system:node:node-0"
        current-context: default
        preferences: {}
        users:
          - name: "system:node:node-0"
            user:
              client-certificate-data: [base64]
              client-key-data: [base64]
        "#);
    });
}

#[test]
fn debug_output_holds_no_key() {
    let pki = pki(1);
    let shown = format!("{pki:?}");
    for issued in pki.list() {
        let line = issued.key.expose().lines().nth(1).unwrap();
        assert!(!shown.contains(line) && !format!("{issued:?}").contains(line));
    }
    let key =
        pki.encryption_config().expose().lines().find_map(|line| line.split_once("secret: ")).unwrap().1;
    assert!(!shown.contains(key) && !shown.contains("PRIVATE KEY"));
}

#[test]
fn certificates_near_their_end_are_reported() {
    let pki = pki(1);
    let end = EPOCH + 10 * YEAR;
    assert_eq!(pki.expiring(end - 180 * DAY).count(), 0);
    assert_eq!(pki.expiring(end - 180 * DAY + 1).count(), 14);
    assert_eq!(pki.expiring(EPOCH + 21 * YEAR).count(), 17);
}

#[test]
fn impossible_wishes_are_refused_by_name() {
    let refused = |change: fn(&mut PkiOptions)| {
        let (cluster, mut options) = (cluster(), PkiOptions::new(EPOCH));
        change(&mut options);
        let error = derive(1, &cluster, &options).unwrap_err();
        format!("{error}\nhint: {}", error.hint().unwrap_or_default())
    };
    insta::assert_snapshot!(refused(|options| { options.generations.insert("node/nod-0".into(), 2); }), @"
    `node/nod-0` is not a key of this cluster
    hint: did you mean `node/node-0`?
    ");
    insta::assert_snapshot!(refused(|options| { options.generations.insert("admin".into(), 0); }), @"
    generation 0 of `admin` does not exist
    hint: a key's first generation is 1, its first rotation is 2
    ");
    insta::assert_snapshot!(refused(|options| options.leaf_years = 30), @"
    a validity of 20 years for authorities and 30 years for certificates is impossible
    hint: certificates must end before their authorities do
    ");
    insta::assert_snapshot!(refused(|options| options.ca_years = 9000), @"
    a validity of 9000 years for authorities and 10 years for certificates is impossible
    hint: certificates must end before their authorities do
    ");
    insta::assert_snapshot!(refused(|options| options.api_server_names.push("bücher.example".into())), @"
    cannot issue certificate `kube-api-server`
    hint: names are ASCII; write others in their `xn--` form
    ");
    assert!(
        matches!(pki(1).issued("node/node-7"), Err(PkiError::NotIssued(label)) if label == "node/node-7")
    );
}

/// Where DHCP gives the addresses, only names are left: of the nodes, of the loopback and of the API server's Service.
#[test]
fn without_known_addresses_every_server_has_its_names() {
    let mut cluster = cluster();
    cluster.network.cidr = None;
    cluster.nodes.iter_mut().for_each(|node| node.ip = None);
    let all = super::certs::of(&cluster, asked(&cluster), &[]).unwrap();
    for certificate in all.iter().filter(|certificate| certificate.usage != super::certs::Usage::Client) {
        let (addresses, names): (Vec<_>, Vec<_>) =
            certificate.sans.iter().partition(|name| name.parse::<std::net::IpAddr>().is_ok());
        assert!(
            addresses.iter().all(|address| ["127.0.0.1", "10.32.0.1"].contains(&address.as_str())),
            "{addresses:?}"
        );
        let node = certificate.label.split_once('/').map_or("server", |(_, node)| node);
        assert!(names.contains(&&format!("{node}.kubernetes.local")), "{}: {names:?}", certificate.label);
    }
    let pki = derive(1, &cluster, &PkiOptions::new(EPOCH)).unwrap();
    let endpoint = Endpoint::in_domain(&cluster.domain);
    let files = crate::identity::files(&pki, &endpoint, &cluster.nodes[1], role("worker")).unwrap();
    let kubeconfig = files.iter().find(|file| file.path == "var/lib/kubelet/kubeconfig").unwrap();
    let kubeconfig = String::from_utf8_lossy(&kubeconfig.content);
    assert!(kubeconfig.contains("server: https://api-server.kubernetes.local:6443\n"));
}

#[test]
fn recipes_that_contradict_each_other_are_refused() {
    let cluster = cluster();
    let mut other = role("worker").certificates().find(|it| it.label == "kube-proxy").unwrap().clone();
    other.user = "somebody else".to_owned();
    let both = asked(&cluster).chain([(&cluster.nodes[2], &other)]);
    insta::assert_snapshot!(super::check(&cluster, both).unwrap_err(), @"recipes ask for the certificate `kube-proxy` with different users, usages or names");
}
