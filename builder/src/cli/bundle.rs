//! `builder bundle`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::bundle;
use crate::cli::global::{Global, Target};
use crate::cli::screen::say;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::plan::Plan;
use crate::store::Store;

/// What happens on the other side.
const USE: &str = "\
There, unpack it anywhere and run the builder in its folder: it takes its
project and its store from there. It holds no secret.";

/// Arguments of `builder bundle`.
#[derive(Debug, Args)]
#[command(after_help = USE)]
pub(super) struct Bundle {
    #[command(flatten)]
    target: Target,
    /// File to write, such as kiln.tar.zst
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Use no network: the store must have everything
    #[arg(long)]
    offline: bool,
}

impl Bundle {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        if self.offline {
            crate::ground::offline::enforce();
        }
        let request = global.request(&self.target);
        let plan = Plan::resolve(&request)?;
        // What would build nothing on the other side is refused on this one.
        crate::embedded::binary(&plan.lock, plan.arch)?;
        let mirrors = global.mirrors(self.offline)?;
        let (store, progress) = (Store::open(&global.store()?)?, Progress::new());
        crate::fetch::local::admit(&store, &plan.local_files())?;
        crate::fetch::fetch(&store, bundle::items(&plan, &mirrors), self.offline, &progress)?;
        crate::oci::fetch(&store, &plan.registry_images(&mirrors), self.offline, &progress)?;
        crate::go::fetch(&plan.project, &store, &plan.lock, &plan.go_builds(), self.offline, &progress)?;
        let program = std::env::current_exe()?;
        let bundle = bundle::Bundle::gather(&plan, &request.lockfile, &program, &store)?;
        for build in &bundle.not_made {
            progress.line(&format!(
                "note: the source build `{build}` is not in the store; the bundle's first build makes it"
            ));
        }
        let task = progress.task("packing the bundle");
        bundle.write(&self.output)?;
        task.finish();
        say(&format!(
            "sha256:{}  {}\n",
            crate::ground::hash::sha256_of_file(&self.output)?,
            self.output.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
