//! A cluster profile: the topology that a person writes, and the same thing checked and with every default filled in.
//!
//! [`Profile::load`] refuses what cannot work, by file, line and key, before anything is fetched or written. It does
//! not know images or versions: roles are checked against the image recipes by `plan`.

mod addresses;
mod api;
mod check;
mod grammar;
mod raw;
mod size;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firstboot::schema;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::endpoint::Api;
use crate::error::InputError;
use crate::input::{self, nearest};
pub use size::MiB;

/// The folder of a project's profiles.
pub const PROFILES: &str = "profiles";

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
}

/// Places in a profile's file, lines from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// Of `cluster.release`, when the profile has one.
    pub release: usize,
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
    /// AES-CBC with a 32-byte key.
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

impl Profile {
    /// Reads and checks a profile: a name below `profiles/`, or the path of a file.
    ///
    /// # Errors
    /// [`InputError`] with the file, the line and the key.
    pub fn load(project: &Path, name: &str) -> Result<Self, InputError> {
        let (folder, path) = (project.join(PROFILES), Self::path(project, name));
        let text = input::read(&path, || missing(&folder, &path, name))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::parse(&path, stem, &text)
    }

    /// Where a profile is, by its name or path.
    #[must_use]
    pub fn path(project: &Path, name: &str) -> PathBuf {
        match name.contains('/') || name.ends_with(".toml") {
            true => PathBuf::from(name),
            false => project.join(PROFILES).join(format!("{name}.toml")),
        }
    }

    /// Checks the text of a profile; `path` is for messages.
    ///
    /// # Errors
    /// As [`Profile::load`].
    pub fn parse(path: &Path, name: String, text: &str) -> Result<Self, InputError> {
        let raw = input::parse(path, text)?;
        check::resolve(path, text, name, raw)
    }
}

fn missing(folder: &Path, path: &Path, name: &str) -> InputError {
    let names = names(folder);
    let close = nearest(name, names.iter().map(String::as_str));
    let hint = match close {
        Some(close) => format!("did you mean `--profile {close}`? there are: {}", names.join(", ")),
        None if names.is_empty() => "run in Kiln's folder, or name the file of a profile".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    InputError::Missing { what: "profile", path: path.to_owned(), hint }
}

/// The profiles of a folder, sorted.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let tomls = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        tomls.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests;
