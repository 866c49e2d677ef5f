//! `builder lock compile`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

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

/// Arguments of `builder lock compile`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Compile {
    /// Only these builds; else all whose results the lockfile lacks
    #[arg(value_name = "BUILD")]
    builds: Vec<String>,
    /// For this architecture: amd64 or arm64 [default: amd64]
    #[arg(long, value_name = "ARCH", hide_possible_values = true)]
    arch: Option<Arch>,
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
}

impl Compile {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let lockfile = global.lockfile(self.lockfile);
        let arch = self.arch.unwrap_or(Arch::HOST);
        let (store, progress) = (Store::open(&global.store()?)?, Progress::new());
        let mirrors = global.mirrors(false)?;
        let lock = Lock::load(&lockfile)?;
        let wanted = expect::wanted(&lock, &self.builds, arch)?;
        for name in &wanted {
            let Some(build) = lock.build.get(name) else { continue };
            // Whatever it made before: it is asked for anew.
            let mut build = build.clone();
            build.output.remove(&arch);
            crate::fetch::fetch(
                &store,
                plan::inputs::build_items(&lock, &build, &mirrors, arch),
                false,
                &progress,
            )?;
            if let Some(go) = build.go() {
                let builds = [GoBuild { name, build: &build, go }];
                go::fetch(&global.project, &store, &lock, &builds, false, &progress)?;
            }
            let folder = source::make(&global.project, &store, &lock, (name, &build), arch, &progress)?;
            let made = source::made(&folder)?;
            expect::write(&lockfile, name, arch, &made)?;
            for (file, hash) in &made {
                say(&format!("sha256:{hash}  {name}/{arch}/{file}\n"))?;
            }
        }
        source::go::clean(&store)?;
        if wanted.is_empty() {
            complain(&format!("{} says what every build makes for {arch}", lockfile.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
