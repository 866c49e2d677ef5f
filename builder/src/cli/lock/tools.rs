//! The programs that resolve: the lock's own where they can be had.

use std::path::Path;

use crate::cli::global::Global;
use crate::deb::roots::{self, TOOLS};
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lock::Changes;
use crate::lockfile::Lock as Lockfile;
use crate::mirror::Mirrors;
use crate::plan;
use crate::store::Store;

/// Resolves something with the lock's own apt where it can be had; a first lock is made by the host's.
pub(super) fn with_tools(
    global: &Global,
    lockfile: &Path,
    what: &str,
    resolve: impl FnOnce(&Mirrors, Option<&Path>) -> Result<Changes>,
) -> Result<(Changes, Mirrors)> {
    let (mirrors, progress) = (global.mirrors(false)?, Progress::new());
    let draft = Lockfile::load_draft(lockfile)?;
    let arch = Arch::HOST;
    let tools = if draft.packages(TOOLS, arch).next().is_some() {
        let store = Store::open(&global.store()?)?;
        crate::fetch::fetch(
            &store,
            plan::inputs::root_items(&draft, &mirrors, arch, TOOLS),
            false,
            &progress,
        )?;
        // The store stays open: what is in it stays, too.
        Some((roots::unpack(&store, &draft, TOOLS, arch, &progress)?, store))
    } else {
        None
    };
    let task = progress.task(what);
    let changes = resolve(&mirrors, tools.as_ref().map(|(root, _)| root.path.as_path()))?;
    task.finish();
    Ok((changes, mirrors))
}
