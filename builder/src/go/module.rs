//! Modules as the lock has them, and the builds that read them.

use crate::lockfile::Lock;
use crate::lockfile::format::{Build, Go, Module};
use crate::lockfile::go::TOOLCHAIN;
use crate::store::StepKey;

/// The files of a recipe that say which modules it compiles.
pub const FILES: [&str; 2] = ["go.mod", "go.sum"];

/// Raised when what the store keeps of a module changes.
const VERSION: u32 = 1;

/// Modules that enter the store together: each holds a lock meanwhile.
pub(super) const AT_ONCE: usize = 100;

/// A build of Go modules with its name.
#[derive(Debug, Clone, Copy)]
pub struct GoBuild<'a> {
    /// Its name in the lock.
    pub name: &'a str,
    /// The build.
    pub build: &'a Build,
    /// How it compiles.
    pub go: &'a Go,
}

/// Where the store keeps a module: a function of what the lock pins of it.
#[must_use]
pub fn key(module: &Module) -> StepKey {
    let Module { path, version, sum, go_mod, .. } = module;
    StepKey::new("module", VERSION, &(path, version, sum, go_mod))
}

/// Whether a module is Go itself.
pub(super) fn is_toolchain(module: &Module) -> bool {
    module.path == TOOLCHAIN
}

/// The modules that a build reads, but for Go itself.
pub(crate) fn modules<'a>(lock: &'a Lock, build: &'a str) -> impl Iterator<Item = &'a Module> {
    lock.modules(build).filter(|module| !is_toolchain(module))
}

/// The modules that some builds read, in the lock's order.
pub fn of_builds<'a>(lock: &'a Lock, builds: &[GoBuild<'_>]) -> impl Iterator<Item = &'a Module> {
    lock.go.modules.iter().filter(|module| builds.iter().any(|build| module.builds.contains(build.name)))
}
