//! `builder lock outdated`.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::global::Global;
use crate::cli::lock::tools::with_tools;
use crate::cli::screen::{complain, say};
use crate::fetch::fetch;
use crate::go::GoBuild;
use crate::go::resolve::Resolver;
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lock::changes;
use crate::lock::osv::semantic;
use crate::lock::upstream::{self, Newer};
use crate::lockfile::Lock;
use crate::mirror::Mirrors;
use crate::plan::inputs::root_items;
use crate::store::Store;

/// What the archive and upstream have by now: a line each, and exit code 1 when there is any.
pub(super) fn run(global: &Global, lockfile: &Path) -> Result<ExitCode> {
    let (packages, mirrors) =
        with_tools(global, lockfile, "looking what the archive has", |mirrors, tools| {
            changes(&global.recipes(), lockfile, mirrors, tools)
        })?;
    let lock = Lock::load(lockfile)?;
    let (newer, mut failed) = upstream::newer(&lock, &mirrors);
    let modules = newer_modules(global, &lock, &mirrors, &mut failed)?;
    say(&packages.to_string())?;
    for Newer { release, component, pinned, newest } in &newer {
        say(&format!("~ component {release} {component}: {pinned} → {newest}\n"))?;
    }
    for (build, pinned, newest) in &modules {
        say(&format!("~ build {build}: {pinned} → {newest}\n"))?;
    }
    for failure in &failed {
        complain(&format!("note: {failure}"));
    }
    let none = packages.is_empty() && newer.is_empty() && modules.is_empty();
    if none {
        complain(&format!("{} has the newest of everything that could be asked", lockfile.display()));
    }
    Ok(ExitCode::from(u8::from(!none)))
}

/// The builds of Go modules of which there is a newer version, with theirs and the newest.
fn newer_modules(
    global: &Global,
    lock: &Lock,
    mirrors: &Mirrors,
    failed: &mut Vec<String>,
) -> Result<Vec<(String, String, String)>> {
    let (store, progress) = (Store::open(&global.store()?)?, Progress::new());
    let resolver = Resolver { project: &global.project, store: &store, lock, progress: &progress };
    let mut newer = Vec::new();
    for (name, build) in &lock.build {
        let Some(go) = build.go() else { continue };
        fetch(&store, root_items(lock, mirrors, Arch::HOST, &build.root), false, &progress)?;
        match resolver.newest(GoBuild { name, build, go }) {
            Ok(Some(newest)) if semantic(&newest) > semantic(&go.version) => {
                newer.push((name.clone(), go.version.clone(), newest));
            }
            Ok(_) => {}
            Err(error) => failed.push(error.fact()),
        }
    }
    Ok(newer)
}
