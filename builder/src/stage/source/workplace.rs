//! Where a build from source happens.

use std::path::{Path, PathBuf};

use crate::ground::arch::Arch;
use crate::ground::progress::Progress;
use crate::lockfile::Lock;
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::Build;
use crate::sandbox::Sandbox;
use crate::store::Store;

/// Where a build happens.
pub(super) struct Workplace<'a> {
    pub(super) project: &'a Path,
    pub(super) store: &'a Store,
    pub(super) lock: &'a Lock,
    pub(super) name: &'a str,
    pub(super) build: &'a Build,
    pub(super) arch: Arch,
    pub(super) progress: &'a Progress,
    /// The root that it runs in.
    pub(super) root: PathBuf,
    /// For what nobody keeps.
    pub(super) work: PathBuf,
    /// For what it makes.
    pub(super) out: PathBuf,
}

impl Workplace<'_> {
    /// A sandbox with the recipe, a place for what is made and the recipe's environment.
    pub(super) fn sandbox(&self) -> Sandbox {
        let mut sandbox = Sandbox::new(&self.root)
            .show(&self.project.join(RECIPES).join(&self.build.recipe), "/kiln/recipe")
            .lend(&self.out, "/kiln/out")
            .lend(&self.work.join("tmp"), "/kiln/tmp")
            .env("HOME", "/kiln/tmp")
            .env("TMPDIR", "/kiln/tmp");
        for (variable, value) in &self.build.env {
            sandbox = sandbox.env(variable, value);
        }
        sandbox
    }
}
