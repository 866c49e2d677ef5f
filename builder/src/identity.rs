//! Which secret file goes to which node, and the byte stream of the identity partition (design sections 7, 8 and 12).
//!
//! It owns paths, modes and the stream. It does not own what the files hold ([`pki`](crate::pki)) nor how a node reads
//! the stream (the crate `firstboot`).

use std::collections::BTreeSet;
use std::fmt;

use firstboot::schema::Node;

use crate::endpoint::Endpoint;
use crate::error::{Class, Explain};
use crate::pki::{Issued, Pki, PkiError, SecretText};

/// One file of a node's identity, owned by root.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityFile {
    /// Path relative to the root, without a leading slash.
    pub path: String,
    /// Permission bits: 0600 for whatever holds a key, else 0644.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The bytes.
    pub content: Vec<u8>,
    /// Why the file is there, for `builder explain`.
    pub why: &'static str,
}

impl fmt::Debug for IdentityFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityFile({:04o} {}, {} bytes)", self.mode, self.path, self.content.len())
    }
}

/// The identity partition could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The nodes' files are larger than the partition.
    #[error("the identities of {nodes} nodes take {needed} bytes, and their partition has {size}")]
    TooSmall {
        /// How many nodes the image serves.
        nodes: usize,
        /// Bytes of the stream.
        needed: u64,
        /// Bytes of the partition.
        size: u64,
    },
    /// The stream could not be written.
    #[error("cannot write the identity of `{path}`: {source}")]
    Stream {
        /// The path in the stream.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
}

impl Explain for IdentityError {
    fn class(&self) -> Class {
        match self {
            Self::TooSmall { .. } => Class::Input,
            Self::Stream { .. } => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::TooSmall { .. } => {
                Some("build with `--identity seed`, which keeps identities outside the image".to_owned())
            }
            Self::Stream { .. } => None,
        }
    }
}

/// The files of one node, sorted by their paths. Workers go to `endpoint`, a control plane to its own API server.
///
/// # Errors
/// [`PkiError::NotIssued`] when the certificates were made for a cluster without this node.
pub fn files(pki: &Pki, endpoint: &Endpoint, node: &Node) -> Result<Vec<IdentityFile>, PkiError> {
    let name = &node.name;
    let server = if node.control_plane { Endpoint::local() } else { endpoint.clone() }.to_string();
    let kubelet = pki.issued(&format!("node/{name}"))?;
    let mut all = Files::default();
    all.public(
        "var/lib/kubelet/ca.crt",
        &pki.issued("kubernetes-ca")?.certificate,
        "whose clients the kubelet believes",
    );
    all.pair("var/lib/kubelet/kubelet", kubelet, "the kubelet's certificate, as server and as client");
    all.secret(
        "var/lib/kubelet/kubeconfig",
        &pki.kubeconfig(&kubelet.label, &server)?,
        "how the kubelet reaches the API server",
    );
    all.secret(
        "var/lib/kube-proxy/kubeconfig",
        &pki.kubeconfig("kube-proxy", &server)?,
        "how kube-proxy reaches the API server",
    );
    all.public(
        "etc/ssh/authorized_keys.d/root",
        &pki.ssh().public,
        "whose SSH key opens this node: that of `builder ssh`",
    );
    if node.control_plane {
        control_plane(&mut all, pki, node, &server)?;
    }
    all.0.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all.0)
}

/// What a control plane node has besides. The keys of the authorities for etcd and for the aggregation layer stay away.
fn control_plane(all: &mut Files, pki: &Pki, node: &Node, server: &str) -> Result<(), PkiError> {
    let name = &node.name;
    let etcd_ca = &pki.issued("etcd-ca")?.certificate;
    let folder = "var/lib/kubernetes";
    let pairs = [
        ("ca", "kubernetes-ca", "the cluster's authority; the controller manager signs requests with it"),
        ("kube-api-server", "kube-api-server", "what the API server serves with"),
        ("service-accounts", "service-accounts", "signs and verifies service account tokens"),
        (
            "kube-apiserver-kubelet-client",
            "kube-apiserver-kubelet-client",
            "what the API server shows to kubelets",
        ),
        ("apiserver-etcd-client", "kube-apiserver-etcd-client", "what the API server shows to etcd"),
        ("front-proxy-client", "front-proxy-client", "what the API server shows to extension API servers"),
    ];
    for (stem, label, why) in pairs {
        all.pair(&format!("{folder}/{stem}"), pki.issued(label)?, why);
    }
    all.public(&format!("{folder}/etcd-ca.crt"), etcd_ca, "whose etcd the API server believes");
    all.public(
        &format!("{folder}/front-proxy-ca.crt"),
        &pki.issued("front-proxy-ca")?.certificate,
        "whose proxied requests the API server believes",
    );
    all.secret(
        &format!("{folder}/encryption-config.yaml"),
        pki.encryption_config(),
        "encrypts Secrets before etcd gets them",
    );
    let kubeconfigs = [
        ("kube-controller-manager", "how the controller manager reaches the API server"),
        ("kube-scheduler", "how the scheduler reaches the API server"),
        ("admin", "how the administrator reaches the API server on this node"),
    ];
    for (label, why) in kubeconfigs {
        all.secret(&format!("{folder}/{label}.kubeconfig"), &pki.kubeconfig(label, server)?, why);
    }
    all.public("etc/etcd/ca.crt", etcd_ca, "whose clients and peers etcd believes");
    all.pair("etc/etcd/server", pki.issued(&format!("etcd-server/{name}"))?, "what etcd serves clients with");
    all.pair("etc/etcd/peer", pki.issued(&format!("etcd-peer/{name}"))?, "what etcd shows to its peers");
    Ok(())
}

/// The kubeconfig of the administrator outside of the cluster.
///
/// # Errors
/// As [`Pki::kubeconfig`].
pub fn admin_kubeconfig(pki: &Pki, endpoint: &Endpoint) -> Result<SecretText, PkiError> {
    pki.kubeconfig("admin", &endpoint.to_string())
}

/// Files in the making.
#[derive(Default)]
struct Files(Vec<IdentityFile>);

impl Files {
    fn add(&mut self, path: &str, mode: u32, content: &str, why: &'static str) {
        let file = IdentityFile { path: path.into(), mode, uid: 0, gid: 0, content: content.into(), why };
        self.0.push(file);
    }

    fn public(&mut self, path: &str, content: &str, why: &'static str) {
        self.add(path, 0o644, content, why);
    }

    fn secret(&mut self, path: &str, content: &SecretText, why: &'static str) {
        self.add(path, 0o600, content.expose(), why);
    }

    /// `STEM.crt` and `STEM.key`.
    fn pair(&mut self, stem: &str, issued: &Issued, why: &'static str) {
        self.public(&format!("{stem}.crt"), &issued.certificate, why);
        self.secret(&format!("{stem}.key"), &issued.key, why);
    }
}

/// The identities of nodes as a ustar stream with one folder per node.
///
/// Headers hold only what is given here: numeric owners without names, and the epoch (Unix seconds, from 1970 on) as the
/// time of every entry. Each folder has an entry, before the files in it.
///
/// # Errors
/// [`IdentityError::Stream`] when a path is too long for the format.
pub fn stream(nodes_files: &[(String, Vec<IdentityFile>)], epoch: i64) -> Result<Vec<u8>, IdentityError> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (node, files) in nodes_files {
        for file in files {
            let path = format!("{node}/{}", file.path);
            for (end, _) in path.match_indices('/') {
                let folder = &path[..=end];
                if folders.insert(folder.to_owned()) {
                    append(&mut archive, folder, tar::EntryType::Directory, (0o755, 0, 0), epoch, &[])?;
                }
            }
            let owner = (file.mode, file.uid, file.gid);
            append(&mut archive, &path, tar::EntryType::Regular, owner, epoch, &file.content)?;
        }
    }
    archive.into_inner().map_err(|source| IdentityError::Stream { path: "end of the stream".into(), source })
}

/// What an identity partition of `size` bytes begins with: the [`stream`]. Zeros are behind it.
///
/// # Errors
/// [`IdentityError::TooSmall`] when the stream does not fit.
pub fn partition(
    nodes_files: &[(String, Vec<IdentityFile>)],
    epoch: i64,
    size: u64,
) -> Result<Vec<u8>, IdentityError> {
    let stream = stream(nodes_files, epoch)?;
    let needed = stream.len() as u64;
    if needed > size {
        return Err(IdentityError::TooSmall { nodes: nodes_files.len(), needed, size });
    }
    Ok(stream)
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    (mode, uid, gid): (u32, u32, u32),
    epoch: i64,
    content: &[u8],
) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Stream { path: path.to_owned(), source };
    let mut header = tar::Header::new_ustar();
    header.set_path(path).map_err(failed)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_mtime(epoch.max(0).unsigned_abs());
    header.set_size(content.len() as u64);
    header.set_cksum();
    archive.append(&header, content).map_err(failed)
}

#[cfg(test)]
mod tests;
