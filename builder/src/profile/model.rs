//! A profile, checked and with every default filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use firstboot::schema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::profile::endpoint::Api;
use crate::profile::size::MiB;

/// Which recipe stands in `parts` for a name in braces, by that name.
pub type Slots = BTreeMap<String, String>;

/// Settings of programs in the images: program → name → value.
pub type Settings = BTreeMap<String, BTreeMap<String, serde_json::Value>>;

/// The container runtime of a profile that names none.
pub const RUNTIME: &str = "containerd";

/// The pod network of a profile that names none.
const CNI: &str = "cni-bridge";

/// How the control plane runs in a profile that does not say.
const CONTROL_PLANE: &str = "control-plane-services";

/// A checked profile with every value resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Where it was read from, for messages.
    #[serde(skip)]
    pub path: PathBuf,
    /// The lines that complaints about roles and the release point to.
    #[serde(skip)]
    pub lines: Lines,
    /// Its name: that of the file.
    pub name: String,
    /// The release that it asks for.
    pub release: Option<String>,
    /// The cluster as its nodes see it, but for the release, which the lock decides, and for what the roles' recipes say.
    pub cluster: schema::Cluster,
    /// Where its API server is.
    pub api: Api,
    /// Time servers, by name or address.
    pub ntp: Vec<String>,
    /// What a node's machine is like, by node name.
    pub machines: BTreeMap<String, Machine>,
    /// Settings of the whole cluster.
    pub options: Options,
    /// Settings of the programs in the images.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: Settings,
    /// The certificates.
    pub pki: Validity,
}

/// How long certificates hold, and which keys are not the first of their label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Validity {
    /// Years (of 365 days) from the lock's epoch to the end of the authorities.
    pub authority_years: u32,
    /// Years (of 365 days) from the lock's epoch to the end of all other certificates.
    pub certificate_years: u32,
    /// Generations of renewed keys by label; any other key is of the first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub generation: BTreeMap<String, u32>,
}

/// Places in a profile's file, lines from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// Of `cluster.release`, when the profile has one.
    pub release: usize,
    /// Of each node.
    pub nodes: Vec<usize>,
    /// Of each node's `role`.
    pub roles: Vec<usize>,
    /// Of the options that fill slots, by slot.
    pub slots: BTreeMap<String, usize>,
    /// Of `cluster.service-cidr`.
    pub services: usize,
    /// Of each of `options.addons`.
    pub addons: Vec<usize>,
    /// Of each setting, by program and name.
    pub settings: BTreeMap<(String, String), usize>,
    /// Of the years in `pki`, or else of its table.
    pub validity: usize,
    /// Of each of `pki.generation`, by label.
    pub generations: BTreeMap<String, usize>,
}

/// What differs between the nodes' machines and Node objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Size of the disk in MiB; the image's own size when absent.
    pub disk_mib: Option<u64>,
    /// Labels of the Node object.
    pub labels: BTreeMap<String, String>,
    /// Taints of the Node object, `key=value:Effect`.
    pub taints: Vec<String>,
}

/// Settings of the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// What runs in the cluster besides; the default addons of the release when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addons: Option<Vec<Spanned<String>>>,
    /// The recipe of the pod network, which stands for `{cni}` in recipes.
    pub cni: Spanned<String>,
    /// The recipe of what runs API server, controller manager and scheduler, which stands for `{control-plane}` in recipes.
    pub control_plane: Spanned<String>,
    /// Size of the data disk of each node, which has what outlives its image; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_disk: Option<MiB>,
    /// Cipher of Secrets in etcd.
    pub encryption: Encryption,
    /// How often each control plane keeps a copy of etcd's data; never when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd_snapshots: Option<Every>,
    /// Where the nodes' certificates and keys go.
    pub identity: Identity,
    /// The cloud whose metadata server the nodes ask, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<schema::Cloud>,
    /// The recipe of the container runtime, which stands for `{runtime}` in recipes.
    pub runtime: Spanned<String>,
    /// Public keys that may log in as root over SSH.
    pub ssh_keys: Vec<Spanned<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            addons: None,
            cni: Spanned::new(0..0, CNI.to_owned()),
            control_plane: Spanned::new(0..0, CONTROL_PLANE.to_owned()),
            data_disk: None,
            encryption: Encryption::Aescbc,
            etcd_snapshots: None,
            identity: Identity::Baked,
            metadata: None,
            runtime: Spanned::new(0..0, RUNTIME.to_owned()),
            ssh_keys: Vec::new(),
        }
    }
}

impl Options {
    /// The options that fill slots, by slot.
    pub(crate) fn by_slot(&self) -> [(&'static str, &Spanned<String>); 3] {
        [("runtime", &self.runtime), ("cni", &self.cni), ("control-plane", &self.control_plane)]
    }

    /// What fills the slots.
    #[must_use]
    pub fn slots(&self) -> Slots {
        self.by_slot().map(|(slot, part)| (slot.to_owned(), part.get_ref().clone())).into()
    }
}

/// A provider of Kubernetes' EncryptionConfiguration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// AES-CBC with a 32-byte key, as the guides set it up.
    Aescbc,
    /// XSalsa20 and Poly1305.
    Secretbox,
}

/// A time that comes again and again, by its name in systemd.time(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// At each full hour.
    Hourly,
    /// At midnight, UTC.
    Daily,
    /// On Mondays.
    Weekly,
}

/// Where the nodes' certificates and keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// Into the images: those are secret.
    Baked,
    /// Into a NoCloud volume for each node: the images hold no secret.
    Seed,
}
