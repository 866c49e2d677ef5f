//! `run/state.json`, version 2: what the driver started, on which ports, from which image. Written before each
//! start, so that an interrupted `up` leaves nothing that `down` does not know. Whether a machine runs is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::driver::error::DriverError;
use crate::driver::hardware::{Accelerator, Firmware};
use crate::ground::hash::Sha256Hex;

/// The file's name; it has a dot, so no node's folder is called so.
const FILE: &str = "state.json";

const VERSION: u32 = 2;

/// Ports of 127.0.0.1 by the node's port.
pub(super) type Forwards = BTreeMap<u16, u16>;

/// What the driver did in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// What runs the machines.
    #[serde(default = "first")]
    pub(super) driver: String,
    /// What they are called outside of this folder, before a hyphen and the node's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) prefix: String,
    /// What the host's libvirt was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) libvirt: Option<LibvirtState>,
    /// The network, once it was started.
    pub(super) network: Option<NetworkState>,
    /// Forwarded ports, by node.
    pub(super) ports: BTreeMap<String, Forwards>,
    /// Machines, by node.
    pub(super) nodes: BTreeMap<String, NodeState>,
}

/// The machines' network as it was started last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NetworkState {
    /// Process id of the switch's sandbox; none while it is being started.
    pub(super) switch: Option<u32>,
    /// Process id of the gateway's sandbox.
    pub(super) gateway: Option<u32>,
    /// The gateway's command line: another one means another network.
    pub(super) argv: Vec<String>,
}

/// A node's machine as it was started last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeState {
    /// Process id of its sandbox; none while it is being started.
    pub(super) pid: Option<u32>,
    /// Content of the image that it was made from.
    pub(super) image_sha256: Sha256Hex,
    /// How its processors run, where the driver knows.
    pub(super) accelerator: Option<Accelerator>,
    /// What it boots with, where the driver knows.
    pub(super) firmware: Option<Firmware>,
}

/// A cluster in the host's libvirt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LibvirtState {
    /// Which libvirt.
    pub(super) uri: String,
    /// The network's definition: another one means another network.
    pub(super) network: String,
    /// The images that its pool has whole.
    pub(super) images: BTreeSet<String>,
}

impl State {
    /// Reads the file in `run`; nothing was started when there is none.
    pub(super) fn load(run: &Path) -> Result<Self, DriverError> {
        let path = run.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::empty()),
            Err(error) => return Err(error.into()),
        };
        let wrong = |path: PathBuf, message: String| DriverError::State { path, message };
        match serde_json::from_str::<Self>(&text) {
            Ok(state) if state.version == VERSION => Ok(state),
            Ok(state) => {
                let found = state.version;
                Err(wrong(path, format!("it has version {found}; this builder reads version {VERSION}")))
            }
            Err(error) => Err(wrong(path, error.to_string())),
        }
    }

    /// Replaces the file.
    pub(super) fn save(&self, run: &Path) -> Result<(), DriverError> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(run)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.persist(run.join(FILE)).map_err(|error| error.error)?;
        Ok(())
    }

    fn empty() -> Self {
        Self {
            version: VERSION,
            driver: first(),
            prefix: String::new(),
            libvirt: None,
            network: None,
            ports: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Whether there is anything to be deleted.
    pub(super) fn has_machines(&self) -> bool {
        !self.nodes.is_empty() || self.libvirt.is_some()
    }
}

/// What ran the machines before others could.
fn first() -> String {
    "qemu".to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fs_err as fs;

    use super::{NetworkState, NodeState, State};
    use crate::driver::hardware::{Accelerator, Firmware};

    #[test]
    fn the_file_is_read_as_written() {
        let run = tempfile::tempdir().unwrap();
        let mut state = State::load(run.path()).unwrap();
        assert!(state.nodes.is_empty() && state.network.is_none());
        let network = NetworkState { switch: Some(5), gateway: None, argv: vec!["qemu".to_owned()] };
        state.network = Some(network);
        state.ports.insert("server".to_owned(), BTreeMap::from([(22, 10022), (6443, 16443)]));
        let image_sha256 = "a".repeat(64).parse().unwrap();
        let (accelerator, firmware) = (Accelerator::Tcg, Firmware::Bios);
        state.nodes.insert(
            "server".to_owned(),
            NodeState {
                pid: Some(7),
                image_sha256,
                accelerator: Some(accelerator),
                firmware: Some(firmware),
            },
        );
        state.save(run.path()).unwrap();
        assert_eq!(State::load(run.path()).unwrap(), state);
        insta::assert_snapshot!(fs::read_to_string(run.path().join("state.json")).unwrap());
    }

    #[test]
    fn another_version_is_refused() {
        let run = tempfile::tempdir().unwrap();
        let text = r#"{"version":3,"network":null,"ports":{},"nodes":{}}"#;
        fs::write(run.path().join("state.json"), text).unwrap();
        let error = State::load(run.path()).unwrap_err().to_string();
        assert!(error.ends_with("state.json: it has version 3; this builder reads version 2"), "{error}");
    }
}
