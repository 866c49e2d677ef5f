//! `builder lock`.

mod add;
mod audit;
mod compile;
mod diff;
mod outdated;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Global, complain, say};
use crate::error::Result;
use crate::lock::format::{Arch, Lock as Lockfile};
use crate::lock::{Changes, check, update as resolve};
use crate::mirror::Mirrors;
use crate::plan::{self, TOOLS};
use crate::progress::Progress;
use crate::stage::roots;
use crate::store::Store;

/// Commands of `builder lock`.
#[derive(Debug, Subcommand)]
pub(super) enum Lock {
    /// Resolve packages anew and write the lockfile
    Update(Update),
    /// Verify without a network that the lockfile is whole and up to date
    Check(Target),
    /// Compile source builds and write what they make into the lockfile
    Compile(compile::Compile),
    /// Say what the archive and upstream have newer than the lockfile
    Outdated(Target),
    /// Say how two lockfiles differ, and which images that changes
    Diff(diff::Diff),
    /// Download a file and write it into the lockfile with its checksum
    Add(add::Add),
    /// Say what is past its end of life or has a known vulnerability
    Audit(audit::Audit),
}

/// Arguments of `builder lock update`.
#[derive(Debug, Args)]
pub(super) struct Update {
    /// Only the suite or Go modules of this component, source, build or root;
    /// or firstboot
    #[arg(value_name = "COMPONENT")]
    names: Vec<String>,
    #[command(flatten)]
    target: Target,
}

/// Which lockfile.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
}

impl Lock {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let path = |target: Target| target.lockfile.unwrap_or_else(|| plan::lockfile(&global.project));
        match self {
            Self::Update(Update { names, target }) => update(global, &path(target), &names),
            Self::Compile(compile) => compile.run(global),
            Self::Outdated(target) => outdated::run(global, &path(target)),
            Self::Diff(diff) => diff.run(global),
            Self::Add(add) => add.run(global),
            Self::Audit(audit) => audit.run(global),
            Self::Check(target) => {
                let lockfile = path(target);
                let lock = check(&global.project, &lockfile)?;
                let packages: usize = lock.deb.values().map(Vec::len).sum();
                complain(&format!("{} pins {packages} packages and is up to date", lockfile.display()));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn update(global: &Global, lockfile: &Path, names: &[String]) -> Result<ExitCode> {
    let (store, progress) = (Store::open(&global.store()?)?, Progress::new());
    let (changes, _) = with_tools(global, lockfile, "resolving packages", |mirrors, tools| {
        resolve(&global.project, lockfile, names, mirrors, tools, (&store, &progress))
    })?;
    say(&changes.to_string())?;
    if changes.is_empty() {
        complain(&format!("{} is as it was", lockfile.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Resolves something with the lock's own apt where it can be had; a first lock is made by the host's.
fn with_tools(
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
        crate::fetch::fetch(&store, plan::root_items(&draft, &mirrors, arch, TOOLS), false, &progress)?;
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
