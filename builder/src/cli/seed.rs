//! `builder seed`: the NoCloud volume of one node.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fs_err as fs;

use crate::cli::global::{Global, SECRET, Target};
use crate::cli::screen::say;
use crate::ground::durable::private;
use crate::ground::error::Result;
use crate::identity::seed;
use crate::pipeline;
use crate::plan::Plan;

/// Arguments of `builder seed`.
#[derive(Debug, Args)]
#[command(after_help = SECRET)]
pub(super) struct Seed {
    #[command(flatten)]
    target: Target,
    /// Name of the node
    node: String,
    /// Folder with the profile's folder
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Another file than seeds/NODE.iso in there
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File with the cluster secret
    #[arg(long, value_name = "FILE", env = "KILN_SECRET", hide_env_values = true)]
    secret: Option<PathBuf>,
}

impl Seed {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let plan = Plan::resolve(&global.request(&self.target))?;
        let volume = pipeline::seed(&plan, self.secret.as_deref(), &self.node)?;
        let path = match self.output {
            Some(path) => path,
            None => {
                let folder = self.out.join(&plan.profile.name);
                fs::create_dir_all(&folder)?;
                let folder = folder.join(seed::FOLDER);
                crate::ground::durable::private_folder(&folder)?;
                folder.join(seed::file_name(&self.node))
            }
        };
        private(&path, &volume)?;
        say(&format!("{}\n", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
