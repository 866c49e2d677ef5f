//! `builder export`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fs_err as fs;

use crate::cli::global::Global;
use crate::cli::screen::{complain, say};
use crate::go::{self, GoBuild};
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lock::expect;
use crate::lockfile::Lock;
use crate::plan;
use crate::stage::source;
use crate::store::Store;

/// Arguments of `builder export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Name of a build in the lockfile
    #[arg(value_name = "BUILD")]
    build: String,
    /// Folder that the programs are written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// For this architecture: amd64 or arm64 [default: amd64]
    #[arg(long, value_name = "ARCH", hide_possible_values = true)]
    arch: Option<Arch>,
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
    /// Forbid the network
    #[arg(long)]
    offline: bool,
}

impl Export {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let lockfile = global.lockfile(self.lockfile);
        let (arch, project) = (self.arch.unwrap_or(Arch::HOST), &global.project);
        let (store, progress) = (Store::open(&global.store()?)?, Progress::new());
        let lock = Lock::load(&lockfile)?;
        let name = expect::wanted(&lock, &[self.build], arch)?.swap_remove(0);
        let Some(build) = lock.build.get(&name) else { return Ok(ExitCode::SUCCESS) };
        let key = source::key(project, &lock, (&name, build), arch)?;
        if store.made(&key).is_none() {
            let items = plan::inputs::build_items(&lock, build, &global.mirrors(self.offline)?, arch);
            crate::fetch::fetch(&store, items, self.offline, &progress)?;
            if let Some(go) = build.go() {
                let builds = [GoBuild { name: &name, build, go }];
                go::fetch(project, &store, &lock, &builds, self.offline, &progress)?;
            }
        }
        let folder = source::build(project, &store, &lock, (&name, build), arch, &progress)?;
        source::go::clean(&store)?;
        fs::create_dir_all(&self.out)?;
        for (file, from) in source::files(build, arch, &folder) {
            let target = self.out.join(&file);
            // Whole or not at all, also over one that runs.
            let part = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.out)?;
            let made = part.path().join(&file);
            match &from.of {
                Some(program) => symlink(program, &made)?,
                None => drop(fs::copy(&from.path, &made)?),
            }
            fs::rename(made, &target)?;
            say(&format!("{}\n", target.display()))?;
        }
        complain(&format!("{name} for {arch}: every file is what the lockfile says"));
        Ok(ExitCode::SUCCESS)
    }
}
