//! A plan with everything that it needs in the store: what makes images takes this, so nothing is made before all was fetched.

use crate::go::{self, GoBuild};
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::mirror::Mirrors;
use crate::plan::Plan;
use crate::stage::source;
use crate::store::Store;
use crate::{fetch, oci};

/// A plan whose files are in the store.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    /// The plan.
    pub(super) plan: &'a Plan,
    /// The store.
    pub(super) store: &'a Store,
    /// What people see of the work.
    pub(super) progress: &'a Progress,
}

impl<'a> Fetched<'a> {
    /// Brings what is not in the store yet.
    ///
    /// # Errors
    /// The first file that cannot be had or is not the lock's.
    pub fn all(
        plan: &'a Plan,
        store: &'a Store,
        mirrors: &Mirrors,
        offline: bool,
        progress: &'a Progress,
    ) -> Result<Self> {
        fetch::local::admit(store, &plan.local_files())?;
        fetch::fetch(store, plan.items(mirrors), offline, progress)?;
        oci::fetch(store, &plan.registry_images(mirrors), offline, progress)?;
        go::fetch(&plan.project, store, &plan.lock, &go_builds(plan, store)?, offline, progress)?;
        Ok(Self { plan, store, progress })
    }

    /// As if everything was there, for a store that makes nothing and remembers what it was asked for.
    #[must_use]
    pub(crate) fn asking(plan: &'a Plan, store: &'a Store, progress: &'a Progress) -> Self {
        Self { plan, store, progress }
    }
}

/// The builds of Go modules that were not made before: their modules are needed.
fn go_builds<'a>(plan: &'a Plan, store: &Store) -> Result<Vec<GoBuild<'a>>> {
    let mut builds = Vec::new();
    for build in plan.go_builds() {
        let key = source::key(&plan.project, &plan.lock, (build.name, build.build), plan.arch)?;
        go::check_recipe(&plan.project, build)?;
        if store.made(&key).is_none() {
            builds.push(build);
        }
    }
    Ok(builds)
}
