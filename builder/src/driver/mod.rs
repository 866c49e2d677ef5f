//! Running what was built: `builder up`, `down`, `status`, `logs` with QEMU from the pinned root or with the host's
//! libvirt or multipass, and `print` with the commands for each.
//!
//! Everything that it makes with QEMU is below `<results>/run`: a folder for each node, one for the switch that joins
//! them and one for the gateway to the host. libvirt and multipass have what they make themselves, under names with the
//! cluster's. It changes no result of a build.

mod accel;
mod access;
mod api;
mod asker;
mod boot;
mod checks;
mod control_plane;
mod disk;
mod down;
mod error;
mod etcd;
mod host;
mod libvirt;
mod machines;
mod multipass;
mod names;
mod network;
mod poll;
mod ports;
mod print;
mod process;
mod qemu;
mod qmp;
mod replace;
mod rescue;
mod serial;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod up;
mod upgrade;
mod vde;
mod wait;

use std::fmt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::results::cluster;
use crate::results::cluster::{ClusterJson, NodeJson};
use crate::sandbox::Sandbox;
use process::{Control, Process};

pub use accel::{open_kvm, try_kernel};
pub use access::{kubeconfig, ssh};
pub use api::Ready;
pub use boot::{Seen, Stage};
pub use checks::{Check, Checks, checks};
pub use down::{Delete, DownRequest, down};
pub use error::DriverError;
pub use etcd::{restore, snapshot};
pub use print::print;
pub use state::expect;
pub use status::{NodeStatus, Running, StatusReport, logs, status};
pub use up::{Runner, UpRequest, up};
pub use upgrade::upgrade;
pub use wait::Wait;

/// What runs the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// QEMU, of the lockfile.
    #[default]
    Qemu,
    /// libvirt of this machine, by virt-install and virsh.
    #[value(alias = "virt-install")]
    Libvirt,
    /// multipass of this machine.
    Multipass,
}

impl Driver {
    /// As on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Libvirt => "libvirt",
            Self::Multipass => "multipass",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the processors are asked to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// Hardware virtualisation when it works, else emulation.
    Auto,
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

/// How the processors run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "hardware virtualisation",
            Self::Tcg => "emulation",
        })
    }
}

/// What a machine boots with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// Where the results of all profiles are when nobody says where.
pub const OUT: &str = "out";

/// The folder of everything that runs, below the results.
const RUN: &str = "run";

/// The folder of results as a sandbox sees it: short, because the path of a socket may have 107 bytes.
const RESULTS_INSIDE: &str = "/kiln/cluster";

/// [`RUN`] as a sandbox sees it.
const RUN_INSIDE: &str = "/kiln/cluster/run";

fn places() -> qemu::Places {
    qemu::Places { results: RESULTS_INSIDE.to_owned(), run: RUN_INSIDE.to_owned() }
}

/// The folders of one cluster.
#[derive(Debug)]
struct Folders {
    /// `<out>/<profile>`, absolute.
    results: PathBuf,
    /// [`RUN`] in it.
    run: PathBuf,
}

impl Folders {
    fn of(results: &Path) -> Result<Self, DriverError> {
        let results = fs::canonicalize(results)?;
        Ok(Self { run: results.join(RUN), results })
    }

    /// What names the results on a command line.
    fn arguments(&self) -> String {
        arguments(&self.results)
    }

    fn node(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }

    fn process(&self, name: &str) -> Process {
        Process { name: name.to_owned(), folder: self.node(name), control: Control::Qmp }
    }

    /// A sandbox that sees the results and may write below [`RUN`].
    fn sandbox(&self, root: &Path) -> Sandbox {
        Sandbox::new(root).show(&self.results, RESULTS_INSIDE).lend(&self.run, RUN_INSIDE)
    }

    /// Keeps a second `up` or `down` away as long as it lives.
    fn guard(&self) -> Result<fs::File, DriverError> {
        let file = fs::File::create(self.run.join("up.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => Err(DriverError::Busy(self.run.clone())),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// Whether something was built or runs in a folder of results.
#[must_use]
pub fn is_there(results: &Path) -> bool {
    results.join(cluster::FILE).exists() || results.join(RUN).exists()
}

/// What names a folder of results on a command line: `--profile NAME`, with `--out DIR` when that is not the usual one.
fn arguments(results: &Path) -> String {
    let word = |path: Option<&std::ffi::OsStr>| print::quote(&path.unwrap_or_default().to_string_lossy());
    let profile = format!("--profile {}", word(results.file_name()));
    let usual = fs::canonicalize(OUT).ok();
    match results.parent() {
        Some(out) if usual.as_deref() != Some(out) && out != Path::new(OUT) => {
            format!("{profile} --out {}", word(Some(out.as_os_str())))
        }
        _ => profile,
    }
}

/// The node of that name, or all.
fn select<'a>(cluster: &'a ClusterJson, name: Option<&str>) -> Result<Vec<&'a NodeJson>, DriverError> {
    let chosen: Vec<&NodeJson> =
        cluster.nodes.iter().filter(|node| name.is_none_or(|name| node.name == name)).collect();
    match name {
        Some(name) if chosen.is_empty() => Err(DriverError::NoSuchNode {
            cluster: cluster.name.clone(),
            name: name.to_owned(),
            nodes: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
        }),
        _ => Ok(chosen),
    }
}
