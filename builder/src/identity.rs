//! The secret files of a node, as its role's recipes ask for them, and the byte stream of the identity partition (design
//! sections 7, 8 and 12).
//!
//! It owns modes and the stream. It does not own paths (the recipes), what the files hold ([`pki`](crate::pki)), nor how a node
//! reads the stream (the crate `firstboot`).

pub mod cluster;
pub mod renew;
pub mod seed;

use std::collections::BTreeSet;
use std::fmt;

use firstboot::schema::{Duty, Node};

use crate::ground::error::{Class, Explain};
use crate::pki::{ADMIN, Pki, PkiError, SecretName, SecretText, for_node};
use crate::profile::endpoint::Endpoint;
use crate::role::Role;

/// What opens every node to the administrator's SSH key.
pub const ADMIN_KEYS: &str = "/etc/ssh/authorized_keys.d/root";

/// One file of a node's identity, owned by root.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityFile {
    /// Path relative to the root, without a leading slash.
    pub path: String,
    /// Permission bits: 0600 for whatever holds a key, else 0644.
    pub mode: u32,
    /// The bytes.
    pub content: Vec<u8>,
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
    /// firstboot would refuse what was written.
    #[error("firstboot would refuse it: {0}")]
    Refused(#[from] firstboot::identity::IdentityError),
}

impl Explain for IdentityError {
    fn class(&self) -> Class {
        match self {
            Self::TooSmall { .. } => Class::Input,
            Self::Stream { .. } | Self::Refused(_) => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::TooSmall { .. } => {
                Some("build with `--identity seed`, which keeps identities outside the image".to_owned())
            }
            Self::Stream { .. } => None,
            Self::Refused(_) => {
                Some("this is a mistake of Kiln; please report it with the profile".to_owned())
            }
        }
    }
}

/// The files of one node of a role, sorted by their paths. Kubeconfigs lead to `endpoint`, on a node with an API server to that.
///
/// # Errors
/// [`PkiError::NotIssued`] when the certificates were made for a cluster without this node.
pub fn files(
    pki: &Pki,
    endpoint: &Endpoint,
    node: &Node,
    role: &Role,
) -> Result<Vec<IdentityFile>, PkiError> {
    let server = if node.has(Duty::ApiServer) { Endpoint::local() } else { endpoint.clone() }.to_string();
    let mut all = Files::default();
    all.public(ADMIN_KEYS, &pki.ssh().public);
    for image in role.layers.iter().map(|layer| &layer.image) {
        for authority in &image.authority {
            let issued = pki.issued(authority.ca.label())?;
            all.public(&authority.certificate, &issued.certificate);
            if let Some(key) = &authority.key {
                all.secret(key, &issued.key);
            }
        }
        for certificate in &image.certificate {
            let issued = pki.issued(&for_node(&certificate.label, node))?;
            if let Some(stem) = &certificate.files {
                all.public(&format!("{stem}.crt"), &issued.certificate);
                all.secret(&format!("{stem}.key"), &issued.key);
            }
        }
        for kubeconfig in &image.kubeconfig {
            let text = pki.kubeconfig(&for_node(&kubeconfig.certificate, node), &server)?;
            all.secret(&kubeconfig.file, &text);
        }
        for secret in &image.secret {
            let text = match secret.name {
                SecretName::EncryptionConfig => pki.encryption_config(),
                SecretName::SshKey => &pki.ssh().private,
            };
            all.secret(&secret.file, text);
        }
    }
    all.0.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all.0)
}

/// The kubeconfig of the administrator outside of the cluster.
///
/// # Errors
/// As [`Pki::kubeconfig`].
pub fn admin_kubeconfig(pki: &Pki, endpoint: &Endpoint) -> Result<SecretText, PkiError> {
    pki.kubeconfig(ADMIN, &endpoint.to_string())
}

/// Files in the making.
#[derive(Default)]
struct Files(Vec<IdentityFile>);

impl Files {
    fn add(&mut self, path: &str, mode: u32, content: &str) {
        let path = path.trim_start_matches('/').to_owned();
        self.0.push(IdentityFile { path, mode, content: content.into() });
    }

    fn public(&mut self, path: &str, content: &str) {
        self.add(path, 0o644, content);
    }

    fn secret(&mut self, path: &str, content: &SecretText) {
        self.add(path, 0o600, content.expose());
    }
}

/// The identities of nodes as a ustar stream with one folder per node.
///
/// Headers hold only what is given here: numeric owners without names, and the epoch (Unix seconds, from 1970 on) as the
/// time of every entry. Each folder has an entry, before the files in it. What is returned was read back with the code of
/// firstboot, which checks all of it whichever node asks.
///
/// # Errors
/// [`IdentityError::Stream`] when a path is too long for the format, [`IdentityError::Refused`] when firstboot has another
/// limit than this.
pub fn stream(nodes_files: &[(String, Vec<IdentityFile>)], epoch: i64) -> Result<Vec<u8>, IdentityError> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (node, files) in nodes_files {
        for file in files {
            let path = format!("{node}/{}", file.path);
            for (end, _) in path.match_indices('/') {
                let folder = &path[..=end];
                if folders.insert(folder.to_owned()) {
                    append(&mut archive, folder, tar::EntryType::Directory, 0o755, epoch, &[])?;
                }
            }
            append(&mut archive, &path, tar::EntryType::Regular, file.mode, epoch, &file.content)?;
        }
    }
    let finished = archive.into_inner();
    let stream =
        finished.map_err(|source| IdentityError::Stream { path: "end of the stream".into(), source })?;
    if let Some((node, _)) = nodes_files.iter().find(|(_, files)| !files.is_empty()) {
        firstboot::identity::parse(&stream, node)?;
    }
    Ok(stream)
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
    mode: u32,
    epoch: i64,
    content: &[u8],
) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Stream { path: path.to_owned(), source };
    let mut header = tar::Header::new_ustar();
    header.set_path(path).map_err(failed)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch.max(0).unsigned_abs());
    header.set_size(content.len() as u64);
    header.set_cksum();
    archive.append(&header, content).map_err(failed)
}

#[cfg(test)]
mod tests;
