//! `builder lock`.

mod add;
mod audit;
mod compile;
mod diff;
mod outdated;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::global::Global;
use crate::cli::lock::tools::with_tools;
use crate::cli::screen::{complain, say};
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lock::{check, update as resolve};
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
    /// Only this component, build, source, root, suite or firstboot
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
        let path = |target: Target| global.lockfile(target.lockfile);
        match self {
            Self::Update(Update { names, target }) => update(global, &path(target), &names),
            Self::Compile(compile) => compile.run(global),
            Self::Outdated(target) => outdated::run(global, &path(target)),
            Self::Diff(diff) => diff.run(global),
            Self::Add(add) => add.run(global),
            Self::Audit(audit) => audit.run(global),
            Self::Check(target) => {
                let lockfile = path(target);
                let lock = check(&global.project, &global.recipes(), &lockfile)?;
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
        resolve((&global.project, &global.recipes()), lockfile, names, mirrors, tools, (&store, &progress))
    })?;
    say(&changes.to_string())?;
    if changes.is_empty() {
        complain(&format!("{} is as it was", lockfile.display()));
    }
    Ok(ExitCode::SUCCESS)
}
