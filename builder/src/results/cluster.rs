//! `cluster.json`, version 1: what was built and which nodes there are, for `builder up`, `print` and people's scripts.
//!
//! Paths are relative to the folder of the file. Compatible additions keep the version, so unknown keys are ignored;
//! a newer version is refused by name. It holds nothing secret.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use firstboot::schema::{Duty, Mac};
use fs_err as fs;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::disk::Format;
use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain};
use crate::ground::hash::Sha256Hex;
use crate::profile::endpoint::PORT;

/// The file's name.
pub const FILE: &str = "cluster.json";

/// The format version that this program reads and writes.
pub const VERSION: u32 = 1;

/// A built cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterJson {
    /// Format version, [`VERSION`].
    pub version: u32,
    /// Cluster name, a DNS label.
    pub name: String,
    /// Release of the lockfile.
    pub release: String,
    /// Version of Kubernetes: `1.37.2`. Empty where an older Kiln wrote this.
    #[serde(default)]
    pub kubernetes: String,
    /// The day on which the first of its certificates ends, in UTC: `2036-11-19`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates_end: Option<String>,
    /// Architecture of the images.
    pub arch: Arch,
    /// The network between the nodes.
    pub network: NetworkJson,
    /// What runs in the cluster besides, by name.
    #[serde(default)]
    pub addons: Vec<String>,
    /// One image for each role, in the order of the profile's first use.
    pub images: Vec<ImageJson>,
    /// The nodes, in the order of the profile.
    pub nodes: Vec<NodeJson>,
}

/// The network between the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkJson {
    /// The range that holds every node's address, null when DHCP gives the addresses.
    pub cidr: Option<Ipv4Net>,
    /// Default gateway, null when the nodes reach only each other.
    pub gateway: Option<Ipv4Addr>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageJson {
    /// The role that it is for.
    pub role: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its format, `qcow2` unless the build was asked for another one.
    pub format: Format,
    /// Bytes of the file.
    pub size: u64,
    /// Content of the file.
    pub sha256: Sha256Hex,
    /// Content of the raw disk without the identities: [`crate::disk::content_sha256`].
    pub content_sha256: Sha256Hex,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeJson {
    /// Host name, a DNS label.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Path of its role's image, one of [`ClusterJson::images`].
    pub image: PathBuf,
    /// Address of its network card.
    pub mac: Mac,
    /// Address in [`NetworkJson::cidr`], null when DHCP gives it.
    pub ip: Option<Ipv4Addr>,
    /// Range of its pods, null where none run.
    pub pod_cidr: Option<Ipv4Net>,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Size of its disk in MiB, null for the image's own.
    #[serde(default)]
    pub disk_mib: Option<u64>,
    /// Size of its data disk in MiB, null when it has none.
    #[serde(default)]
    pub data_disk_mib: Option<u64>,
    /// What it does for the cluster.
    #[serde(default)]
    pub duties: BTreeSet<Duty>,
    /// TCP ports that `builder up` makes reachable from the host: 22, and 6443 where the Kubernetes API is served or passed on.
    #[serde(default = "ssh_only")]
    pub ports: Vec<u16>,
    /// Path of its seed, a NoCloud ISO, null when the image holds its identity.
    pub seed: Option<PathBuf>,
}

impl NodeJson {
    /// Whether a duty is among its own.
    #[must_use]
    pub fn has(&self, duty: Duty) -> bool {
        self.duties.contains(&duty)
    }

    /// Its address, for people.
    #[must_use]
    pub fn address(&self) -> String {
        self.ip.map_or_else(|| "by DHCP".to_owned(), |ip| ip.to_string())
    }
}

fn ssh_only() -> Vec<u16> {
    vec![22]
}

/// Why a `cluster.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterJsonError {
    /// Nothing was built there.
    #[error("there is no `{}`", .0.display())]
    Missing(PathBuf),
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It was written by a newer Kiln.
    #[error("{} has version {found}; this builder reads version {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is not what it should be.
    #[error("{}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The fact, with the key.
        message: String,
    },
}

impl Explain for ClusterJsonError {
    fn class(&self) -> Class {
        match self {
            Self::Io(_) => Class::Host,
            _ => Class::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) | Self::Wrong { .. } => Some("build the profile again".to_owned()),
            Self::Newer { .. } => Some("use the builder that wrote it, or a newer one".to_owned()),
            Self::Io(_) => None,
        }
    }
}

/// Only the version: read first, so that a newer file is named as such and not as a shape error.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl ClusterJson {
    /// Reads the file in a folder of results (`<out>/<profile>`).
    ///
    /// # Errors
    /// [`ClusterJsonError`] names the file and the key.
    pub fn load(folder: &Path) -> Result<Self, ClusterJsonError> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ClusterJsonError::Missing(path))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Validates the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`ClusterJson::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ClusterJsonError> {
        let wrong = |message: String| ClusterJsonError::Wrong { path: path.to_owned(), message };
        let Versioned { version: found } =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if found > VERSION {
            return Err(ClusterJsonError::Newer { path: path.to_owned(), found });
        }
        let mut cluster: Self = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        cluster.complete();
        match cluster.nodes.iter().find(|node| cluster.image_of(node).is_none()) {
            Some(node) => Err(wrong(format!(
                "nodes: `{}` names the image `{}`, which is not among the images",
                node.name,
                node.image.display()
            ))),
            None => Ok(cluster),
        }
    }

    /// An older Kiln wrote no duties: every node ran pods, and whoever served the API was a whole control plane.
    fn complete(&mut self) {
        if self.nodes.iter().any(|node| !node.duties.is_empty()) {
            return;
        }
        for node in &mut self.nodes {
            node.duties.insert(Duty::Kubelet);
            if node.ports.contains(&PORT) {
                node.duties.extend([Duty::Etcd, Duty::ApiServer, Duty::Controllers]);
            }
        }
    }

    /// The nodes that have a duty, in the order of the profile.
    pub fn with(&self, duty: Duty) -> impl Iterator<Item = &NodeJson> {
        self.nodes.iter().filter(move |node| node.has(duty))
    }

    /// The file's text: keys in the order of the types, two spaces of indentation, a newline at the end.
    ///
    /// # Errors
    /// None in practice: every value can be written, except a path that is not UTF-8.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// The image that a node boots.
    #[must_use]
    pub fn image_of(&self, node: &NodeJson) -> Option<&ImageJson> {
        self.images.iter().find(|image| image.path == node.image)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use firstboot::schema::Duty;

    use super::{ClusterJson, ClusterJsonError};

    const TEXT: &str = r#"{
  "version": 1,
  "name": "kiln",
  "release": "debian",
  "kubernetes": "1.20.2",
  "arch": "amd64",
  "network": {
    "cidr": "192.168.122.0/24",
    "gateway": "192.168.122.1"
  },
  "addons": [
    "coredns"
  ],
  "images": [
    {
      "role": "worker",
      "path": "worker.qcow2",
      "format": "qcow2",
      "size": 245366784,
      "sha256": "00000000000000000000000000000000000000000000000000000000000000aa",
      "content_sha256": "00000000000000000000000000000000000000000000000000000000000000bb"
    }
  ],
  "nodes": [
    {
      "name": "node-0",
      "role": "worker",
      "image": "worker.qcow2",
      "mac": "52:54:00:00:00:11",
      "ip": "192.168.122.11",
      "pod_cidr": "10.200.0.0/24",
      "cpus": 1,
      "memory_mib": 1536,
      "disk_mib": 8192,
      "data_disk_mib": null,
      "duties": [
        "kubelet"
      ],
      "ports": [
        22
      ],
      "seed": null
    }
  ]
}
"#;

    fn parse(text: &str) -> Result<ClusterJson, ClusterJsonError> {
        ClusterJson::parse(Path::new("out/p/cluster.json"), text)
    }

    #[test]
    fn the_text_survives_reading_and_writing() {
        assert_eq!(parse(TEXT).unwrap().to_text().unwrap(), TEXT);
    }

    #[test]
    fn additions_are_ignored_and_some_keys_may_be_absent() {
        let text =
            TEXT.replace("\"disk_mib\": 8192,", "\"added-later\": true,").replace("\"ports\"", "\"p\"");
        let node = &parse(&text).unwrap().nodes[0];
        assert_eq!((node.disk_mib, node.ports.as_slice()), (None, [22].as_slice()));
    }

    #[test]
    fn a_node_of_an_older_kiln_has_its_duties_by_its_ports() {
        let older = TEXT.replace("\"duties\"", "\"d\"");
        let duties = |text: &str| parse(text).unwrap().nodes[0].duties.clone();
        assert_eq!(duties(&older), [Duty::Kubelet].into());
        let plane = older.replace("        22\n", "        22,\n        6443\n");
        assert_eq!(duties(&plane), [Duty::Kubelet, Duty::Etcd, Duty::ApiServer, Duty::Controllers].into());
    }

    #[test]
    fn a_newer_version_is_named_before_its_shape_matters() {
        let error = parse(r#"{"version":2}"#).unwrap_err();
        insta::assert_snapshot!(error, @"out/p/cluster.json has version 2; this builder reads version 1");
    }

    #[test]
    fn a_node_without_its_image_is_named() {
        let error =
            parse(&TEXT.replace("\"path\": \"worker.qcow2\"", "\"path\": \"other.qcow2\"")).unwrap_err();
        insta::assert_snapshot!(error, @"out/p/cluster.json: nodes: `node-0` names the image `worker.qcow2`, which is not among the images");
    }

    #[test]
    fn a_missing_file_says_what_to_do() {
        use crate::ground::error::Explain;
        let folder = tempfile::tempdir().unwrap();
        let error = ClusterJson::load(&folder.path().join("1cp-2workers")).unwrap_err();
        assert_eq!(error.hint().unwrap(), "build the profile again");
    }
}
