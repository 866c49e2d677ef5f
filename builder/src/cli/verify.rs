//! `builder verify`: whether images are what their report says.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::screen::{say, say_json};
use crate::ground::error::Result;
use crate::inspect::verify::{Secrets, Verdict, verify};

/// What is read.
const REPORT: &str = "\
Reads cluster.json and SHA256SUMS beside each image, and every byte of it.
Exit codes: 0 all is as it should be, 1 something is not.";

/// Arguments of `builder verify`.
#[derive(Debug, Args)]
#[command(after_help = REPORT)]
pub(super) struct Verify {
    /// Images
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Also fail when a secret lies anywhere on the disk
    #[arg(long)]
    no_secrets: bool,
    /// With --no-secrets: allow those of node identities
    #[arg(long, requires = "no_secrets")]
    except_identities: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode> {
        let secrets = match (self.no_secrets, self.except_identities) {
            (false, _) => Secrets::Allowed,
            (true, false) => Secrets::None,
            (true, true) => Secrets::InIdentities,
        };
        let mut verdicts = Vec::new();
        for image in &self.images {
            let verdict = verify(image, secrets)?;
            if !self.json {
                say(&text(&verdict))?;
            }
            verdicts.push(verdict);
        }
        if self.json {
            say_json(&verdicts)?;
        }
        Ok(ExitCode::from(u8::from(!verdicts.iter().all(Verdict::is_ok))))
    }
}

fn text(verdict: &Verdict) -> String {
    let mut text = format!("{}\n", verdict.path.display());
    for check in &verdict.checks {
        let outcome = if check.ok { "ok" } else { "WRONG" };
        text += &format!("  {outcome:5}  {:7}  {}\n", check.name, check.found);
    }
    text
}
