//! What can go wrong between a built cluster and its running machines.

use std::path::PathBuf;
use std::time::Duration;

use crate::disk::Format;
use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain};
use crate::results::cluster::ClusterJsonError;
use crate::sandbox::SandboxError;

/// Why a driver did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// What was built cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterJsonError),
    /// A program could not run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The cluster has no such node.
    #[error("the cluster `{cluster}` has no node `{name}`")]
    NoSuchNode {
        /// The cluster.
        cluster: String,
        /// What was asked for.
        name: String,
        /// The nodes that it has.
        nodes: Vec<String>,
    },
    /// Machines run from qcow2 images.
    #[error("`{}` is a {format} image, and machines are made from qcow2", image.display())]
    Format {
        /// The image.
        image: PathBuf,
        /// Its format.
        format: Format,
    },
    /// The host's programs are not made to run these images.
    #[error("the driver {driver} runs {} images; the cluster `{cluster}` was built for {arch}", Arch::HOST)]
    Arch {
        /// The cluster.
        cluster: String,
        /// Its architecture.
        arch: Arch,
        /// What should run it.
        driver: &'static str,
    },
    /// BIOS was asked for.
    #[error("machines of {0} have no BIOS")]
    NoBios(Arch),
    /// libvirt's network is defined with the nodes' addresses.
    #[error(
        "the nodes of the cluster `{0}` get their addresses by DHCP; the driver libvirt needs to know them"
    )]
    Dhcp(String),
    /// `run/state.json` is not what it should be.
    #[error("{}: {message}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The fact.
        message: String,
    },
    /// Another `up` or `down` is at work on the same folder.
    #[error("another `builder up` or `builder down` is at work in `{}`", .0.display())]
    Busy(PathBuf),
    /// `--accel kvm`, and the host cannot.
    #[error("hardware virtualisation does not work on this host: {0}")]
    NoKvm(String),
    /// No port of the host is free.
    #[error("no free port between {first} and {last} on 127.0.0.1 for port {guest} of `{node}`")]
    NoPort {
        /// The node.
        node: String,
        /// Its port.
        guest: u16,
        /// The first that was tried.
        first: u16,
        /// The last that was tried.
        last: u16,
    },
    /// QEMU ended, or never answered.
    #[error("QEMU for `{name}` did not start; it said:\n{log}")]
    Start {
        /// Node, or the switch.
        name: String,
        /// The end of its log.
        log: String,
    },
    /// The image of a node is not there.
    #[error("`{node}` boots the image `{}`, which is not there", image.display())]
    NoImage {
        /// The node.
        node: String,
        /// The image.
        image: PathBuf,
    },
    /// A node's disk lies over an image that is not there any more.
    #[error("the disk of `{node}` was made from the image `{}`, which is not there", image.display())]
    NoImageBelow {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node.
        node: String,
        /// The image.
        image: PathBuf,
    },
    /// A node's disk has what is nowhere else.
    #[error("the disk of `{node}` holds {what}, and nothing else does")]
    Keeps {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node.
        node: String,
        /// What would be lost.
        what: String,
    },
    /// A control plane does not do what it was asked for.
    #[error("on `{node}` this failed: {command}\n  {said}")]
    Control {
        /// The control plane.
        node: String,
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// A file or folder that was named is not there or cannot be read.
    #[error("{0}")]
    NoFile(std::io::Error),
    /// Not what etcd writes as a snapshot.
    #[error("`{}` is no whole snapshot of etcd", .0.display())]
    Snapshot(PathBuf),
    /// The control plane came back with other data, and does not answer.
    #[error("no API server answers {} s after the restore", after.as_secs())]
    Silent {
        /// What names the results on a command line, for the hint.
        results: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// Kubernetes does not go from one version to the other.
    #[error("no upgrade: {fact}")]
    Skew {
        /// The versions.
        fact: String,
    },
    /// A node was not upgraded.
    #[error("the upgrade stopped at `{node}`: {error}")]
    Upgrade {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node.
        node: String,
        /// Why.
        error: Box<DriverError>,
    },
    /// The node's disk would cut off the image.
    #[error("`{node}` has a disk of {disk_mib} MiB, its image needs {image_mib} MiB")]
    DiskTooSmall {
        /// The node.
        node: String,
        /// Size in the profile.
        disk_mib: u64,
        /// Virtual size of the image.
        image_mib: u64,
    },
    /// The running machines are wired for another cluster.
    #[error("the network of `{cluster}` changed since its machines were started")]
    NetworkChanged {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The cluster.
        cluster: String,
    },
    /// A node did not come up in time.
    #[error("`{node}` did not reach {wanted} within {} s: {reason}; its console ends with:\n{log}", after.as_secs())]
    TimedOut {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node.
        node: String,
        /// What was waited for.
        wanted: &'static str,
        /// How far it is.
        reason: Box<str>,
        /// How long.
        after: Duration,
        /// The end of its serial log.
        log: String,
    },
    /// A node stopped while it was waited for.
    #[error("`{node}` stopped before it reached {wanted}; its console ends with:\n{log}")]
    Stopped {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node.
        node: String,
        /// What was waited for.
        wanted: &'static str,
        /// The end of its serial log.
        log: String,
    },
    /// The console shows that it will not come up.
    #[error("`{node}` will not reach {wanted}: {trouble}; its console ends with:\n{log}")]
    Trouble {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node.
        node: String,
        /// What was waited for.
        wanted: &'static str,
        /// The telling line.
        trouble: String,
        /// The end of its serial log.
        log: String,
    },
    /// Neither asking nor killing helped.
    #[error("`{0}` is still running")]
    StillRunning(String),
    /// A node does not run, so there is no way to it.
    #[error("`{node}` does not run")]
    NotRunning {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node, or the cluster.
        node: String,
    },
    /// Nobody can make the node Ready.
    #[error("`{0}` cannot become Ready: no control plane of its cluster runs")]
    NoControlPlane(String),
    /// The kubeconfig of the build does not open its API server.
    #[error("{}: {message}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The fact.
        message: String,
    },
    /// Another driver has machines of the cluster.
    #[error("the driver {runs} has machines of this profile, so {driver} cannot")]
    OtherDriver {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The one that has.
        runs: &'static str,
        /// The one that was asked for.
        driver: &'static str,
    },
    /// The host lacks a program.
    #[error("this host has no `{name}`")]
    NoProgram {
        /// The program.
        name: &'static str,
        /// How one gets it.
        hint: &'static str,
    },
    /// A program of the host failed.
    #[error("`{command}` failed; it said:\n{said}")]
    Program {
        /// What was run.
        command: String,
        /// All that it said.
        said: String,
        /// What mends it, if its driver knows.
        hint: Option<String>,
    },
    /// Somebody else's machine has the name.
    #[error("{program} has a machine `{name}` that this profile did not start")]
    Taken {
        /// Whose machine it is.
        program: &'static str,
        /// Its name.
        name: String,
        /// How it is given up.
        hint: String,
    },
    /// A driver cannot do what was asked.
    #[error("{program} cannot {what}")]
    Cannot {
        /// The driver.
        program: &'static str,
        /// What it cannot do.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// The host has no SSH client.
    #[error("this host has no `ssh`")]
    NoSsh,
    /// A node never ran.
    #[error("`{node}` has no console log: it was never started")]
    NeverStarted {
        /// What names the results on a command line, for the hint.
        results: String,
        /// The node.
        node: String,
    },
}

impl Explain for DriverError {
    fn class(&self) -> Class {
        match self {
            Self::Cluster(error) => error.class(),
            Self::NoSuchNode { .. }
            | Self::Format { .. }
            | Self::Arch { .. }
            | Self::NoBios(_)
            | Self::Dhcp(_)
            | Self::Busy(_)
            | Self::NoImage { .. }
            | Self::NoImageBelow { .. }
            | Self::Keeps { .. }
            | Self::Skew { .. }
            | Self::NoFile(_)
            | Self::Snapshot(_)
            | Self::DiskTooSmall { .. }
            | Self::NetworkChanged { .. }
            | Self::NotRunning { .. }
            | Self::NoControlPlane(_)
            | Self::OtherDriver { .. }
            | Self::Taken { .. }
            | Self::Cannot { .. }
            | Self::NeverStarted { .. } => Class::Input,
            _ => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::Sandbox(error) => error.hint(),
            Self::NoSuchNode { nodes, .. } => Some(format!("its nodes are {}", nodes.join(", "))),
            Self::Dhcp(_) => Some(
                "use `--driver qemu` or `--driver multipass`, or `network.mode = \"static\"` in the profile"
                    .to_owned(),
            ),
            Self::Format { .. } => Some("build the profile again, without `--format`".to_owned()),
            Self::Arch { .. } => Some("`--driver qemu` runs them".to_owned()),
            Self::NoBios(_) => Some("leave out `--firmware`".to_owned()),
            Self::State { path, .. } => {
                Some(format!("stop the QEMU processes by hand, then remove {}", path.display()))
            }
            Self::Busy(_) => Some("wait until it is done".to_owned()),
            Self::NoKvm(_) => Some("use `--accel tcg`".to_owned()),
            Self::NoImage { .. } | Self::Kubeconfig { .. } => Some("build the profile again".to_owned()),
            Self::NoImageBelow { results, node, .. } => Some(format!(
                "put the image back there; else `builder down {results} --node {node} --delete` gives up the disk and its data"
            )),
            Self::Keeps { results, node, .. } => Some(format!(
                "move it elsewhere first; `builder down {results} --node {node} --delete` gives it up"
            )),
            Self::Control { .. } => Some("mend that, then the same command again".to_owned()),
            Self::Skew { .. } => {
                Some("build the profile with another `--release`; `builder up` goes on as it is".to_owned())
            }
            Self::Upgrade { results, node, .. } => Some(format!(
                "`builder logs {results} {node}` shows why; `builder up {results} --upgrade` goes on; to go back, build the old release and `builder up {results} --replace {node}`"
            )),
            Self::Snapshot(_) => Some(
                "take one with `builder etcd snapshot`, or one of /var/lib/etcd-snapshots on a control plane"
                    .to_owned(),
            ),
            Self::Silent { results, .. } => {
                Some(format!("`builder status {results} --checks` says what is missing"))
            }
            Self::DiskTooSmall { .. } => Some("raise the node's `disk` in the profile".to_owned()),
            Self::NetworkChanged { results, .. } => {
                Some(format!("builder down {results} && builder up {results}"))
            }
            Self::TimedOut { results, node, .. } | Self::Trouble { results, node, .. } => Some(format!(
                "it is still running; `builder logs {results} {node} --follow` shows its console"
            )),
            Self::Stopped { results, node, .. } => {
                Some(format!("`builder logs {results} {node}` shows its whole console"))
            }
            Self::NeverStarted { results, .. } | Self::NotRunning { results, .. } => {
                Some(format!("builder up {results}"))
            }
            Self::NoControlPlane(_) => Some("start all nodes, or use `--wait login`".to_owned()),
            Self::OtherDriver { results, runs, .. } => Some(format!(
                "use `--driver {runs}`, or give its machines up: `builder down {results} --delete`"
            )),
            Self::NoProgram { hint, .. } => Some((*hint).to_owned()),
            Self::Program { hint, .. } => hint.clone(),
            Self::Taken { hint, .. } | Self::Cannot { hint, .. } => Some(hint.clone()),
            Self::NoSsh => Some("install OpenSSH's client: Debian's package is openssh-client".to_owned()),
            Self::NoFile(_)
            | Self::Io(_)
            | Self::NoPort { .. }
            | Self::Start { .. }
            | Self::StillRunning(_) => None,
        }
    }
}
