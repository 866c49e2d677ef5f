//! Running what was built: `builder up`, `down`, `status`, `logs` with QEMU from the pinned root or with the host's
//! libvirt or multipass, and `print` with the commands for each. A driver is a folder here and a line of `registry`.
//!
//! It changes no result of a build.

mod access;
mod api;
mod asker;
mod boot;
mod checks;
mod control_plane;
mod down;
mod error;
mod etcd;
mod folders;
mod hardware;
mod host;
mod libvirt;
mod machines;
mod multipass;
mod names;
mod poll;
mod print;
mod qemu;
mod ready;
mod registry;
mod replace;
mod request;
mod serial;
mod shell;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod up;
mod upgrade;
mod wait;

pub use access::{kubeconfig, ssh};
pub use boot::{Seen, Stage};
pub use checks::{Check, Checks, checks};
pub use down::down;
pub use error::DriverError;
pub use etcd::{restore, snapshot};
pub use folders::{OUT, is_there, words};
pub use hardware::{Accel, Accelerator, Firmware};
pub use machines::Driver;
pub use print::print;
pub use qemu::{open_kvm, try_kernel};
pub use ready::Ready;
pub use registry::{DRIVERS, expect, named};
pub use request::{Delete, DownRequest, UpRequest, Wait};
pub use status::{NodeStatus, Running, StatusReport, logs, status};
pub use up::up;
pub use upgrade::upgrade;
