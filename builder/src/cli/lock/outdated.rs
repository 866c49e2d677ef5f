//! `builder lock outdated`.

use std::path::Path;
use std::process::ExitCode;

use super::super::{Global, complain, say};
use super::with_tools;
use crate::error::Result;
use crate::lock::upstream::{self, Newer};
use crate::lock::{Lock, changes};

/// What the archive and upstream have by now: a line each, and exit code 1 when there is any.
pub(super) fn run(global: &Global, lockfile: &Path) -> Result<ExitCode> {
    let (packages, mirrors) =
        with_tools(global, lockfile, "looking what the archive has", |mirrors, tools| {
            changes(&global.project, lockfile, mirrors, tools)
        })?;
    let (newer, failed) = upstream::newer(&Lock::load(lockfile)?, &mirrors);
    say(&packages.to_string())?;
    for Newer { release, component, pinned, newest } in &newer {
        say(&format!("~ component {release} {component}: {pinned} → {newest}\n"))?;
    }
    for failure in &failed {
        complain(&format!("note: {failure}"));
    }
    if packages.is_empty() && newer.is_empty() {
        complain(&format!("{} has the newest of everything that could be asked", lockfile.display()));
    }
    Ok(ExitCode::from(u8::from(!(packages.is_empty() && newer.is_empty()))))
}
