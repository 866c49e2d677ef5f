//! `builder doctor`: what this host lacks for building and running images, with the package that has it.

use std::process::ExitCode;

use clap::Args;

use crate::cli::global::Global;
use crate::cli::screen::{say, say_json};
use crate::doctor::{self, Outcome};
use crate::ground::call;
use crate::ground::error::Result;

/// Arguments of `builder doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let checks = doctor::examine(&global.project, &global.store()?, &global.mirrors(false));
        if self.json {
            say_json(&checks)?;
        } else {
            for check in &checks {
                say(&call::typed(&format!("{check}\n")))?;
            }
        }
        let missing = checks.iter().any(|check| matches!(check.outcome, Outcome::Missing { .. }));
        Ok(ExitCode::from(if missing { 2 } else { 0 }))
    }
}
