//! What `builder up` and `builder down` are asked for.

use std::path::Path;
use std::time::Duration;

use firstboot::schema::Duty;

use crate::driver::boot::{Seen, Stage};
use crate::driver::hardware::{Accel, Firmware};
use crate::driver::ready::Ready;
use crate::results::cluster::NodeJson;

/// What `builder up` was asked for.
#[derive(Debug, Clone, Copy)]
pub struct UpRequest<'a> {
    /// The folder of results, `<out>/<profile>`.
    pub results: &'a Path,
    /// The lock's QEMU for the machines' architecture, unpacked, for the driver that runs it.
    pub root: Option<&'a Path>,
    /// One node instead of all.
    pub node: Option<&'a str>,
    /// Whether that node gets a new disk, over the image of the last build.
    pub replace: bool,
    /// How the processors are to run.
    pub accel: Accel,
    /// What the machines boot with; when absent, BIOS where the architecture has it.
    pub firmware: Option<Firmware>,
    /// Whether everything that reaches the gateway is kept.
    pub capture: bool,
    /// More options for QEMU, of the machines that are started now.
    pub options: &'a [String],
    /// What to wait for.
    pub wait: Wait,
    /// How long.
    pub timeout: Duration,
}

/// What `up` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Wait {
    /// Nothing: the machines run.
    None,
    /// firstboot has given each node its values.
    Firstboot,
    /// Each node shows its login prompt.
    Login,
    /// The API server calls each node Ready.
    Ready,
}

impl Wait {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "its start",
            Self::Firstboot => Stage::Firstboot.name(),
            Self::Login => Stage::Login.name(),
            Self::Ready => "Ready",
        }
    }

    /// A node without a kubelet has no Node object to be Ready: its login prompt is enough.
    pub(super) fn is_reached(self, node: &NodeJson, seen: &Seen, ready: Option<&Ready>) -> bool {
        match self {
            Self::None => true,
            Self::Firstboot => seen.stage >= Stage::Firstboot,
            Self::Login => seen.stage >= Stage::Login,
            Self::Ready if !node.has(Duty::Kubelet) => seen.stage >= Stage::Login,
            Self::Ready => ready.is_some_and(|ready| ready.ready),
        }
    }
}

/// What `builder down` was asked for.
#[derive(Debug, Clone, Copy)]
pub struct DownRequest<'a> {
    /// The folder of results, `<out>/<profile>`.
    pub results: &'a Path,
    /// One node instead of all.
    pub node: Option<&'a str>,
    /// How long a machine may take to power off; zero ends it at once.
    pub grace: Duration,
    /// What of it goes as well.
    pub delete: Delete,
}

/// What goes of a machine that is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// Nothing.
    Nothing,
    /// Its disk, logs and settings; its data disk stays.
    AllButData,
    /// Everything.
    All,
}
