//! What the parent side tells the child side.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;

/// The hidden argument that turns this program into the child side.
pub const INNER: &str = "__sandbox";

/// A root of packages and what a program in it may see.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sandbox {
    pub(super) root: PathBuf,
    pub(super) binds: Vec<Bind>,
    /// Folders of the root in whose place an empty one is.
    pub(super) emptied: Vec<PathBuf>,
    pub(super) share_network: bool,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: PathBuf,
    /// The architecture whose programs are emulated.
    pub(super) emulate: Option<Arch>,
}

/// One path of the host inside the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bind {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    pub(super) writable: bool,
}

/// What the child side is told: on its command line, so it holds no secret.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) sandbox: Sandbox,
    pub(super) task: Task,
    pub(super) user_namespace: bool,
}

/// What happens inside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// A program runs, with its arguments.
    Run(Vec<String>),
    /// A folder is removed, in namespaces alone: the file system stays the host's.
    Remove(PathBuf),
}
