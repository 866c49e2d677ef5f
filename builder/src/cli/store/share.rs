//! `builder store push` and `builder store pull`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::global::{Global, Target};
use crate::cli::screen::{complain, say};
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::plan::Plan;
use crate::share::{self, Remote, ShareError, Shared};
use crate::store::Store;

/// Where from and to.
const NOTES: &str = "\
URL is file:///DIR, s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH or
https://HOST/PATH. Credentials come from the environment and the files of each
service's own tools; for web servers from ~/.netrc.

Only what the lockfile pins is shared: downloads and compiled sources. Whatever
comes is compared with the lockfile before it enters the store.";

/// Arguments of `builder store push` and `pull`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Share {
    /// The other place
    url: String,
    #[command(flatten)]
    target: Target,
    /// Use no network: the other place must be a folder
    #[arg(long)]
    offline: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Share {
    pub(super) fn push(self, global: &Global) -> Result<ExitCode> {
        let (plan, store, remote) = self.open(global)?;
        let shared = share::push(&store, &plan, &remote, &Progress::new())?;
        let missing = "not in the store: `builder build` fetches and makes them";
        self.report(&shared, &remote, "there already", missing)
    }

    pub(super) fn pull(self, global: &Global) -> Result<ExitCode> {
        let (plan, store, remote) = self.open(global)?;
        let shared = share::pull(&store, &plan, &remote, &Progress::new())?;
        self.report(
            &shared,
            &remote,
            "in the store already",
            "not there: the next build fetches or makes them",
        )
    }

    fn open(&self, global: &Global) -> Result<(Plan, Store, Remote)> {
        if self.offline {
            crate::ground::offline::enforce();
        }
        let plan = Plan::resolve(&global.request(&self.target))?;
        let remote = Remote::open(&self.url)?;
        Ok((plan, Store::open(&global.store()?)?, remote))
    }

    fn report(&self, shared: &Shared, remote: &Remote, present: &str, missing: &str) -> Result<ExitCode> {
        if self.json {
            let Shared { copied, bytes, present, missing, wrong } = shared;
            let value = serde_json::json!({
                "version": 1, "copied": copied, "bytes": bytes, "present": present, "missing": missing, "wrong": wrong,
            });
            say(&format!("{value:#}\n"))?;
        }
        if !shared.wrong.is_empty() {
            let wrong =
                shared.wrong.iter().map(|wrong| format!("{}: {}", wrong.entry, wrong.message)).collect();
            return Err(ShareError::Wrong { address: remote.shown().to_owned(), wrong }.into());
        }
        let mut line =
            format!("{} copied ({} bytes), {} {present}", shared.copied, shared.bytes, shared.present);
        if !shared.missing.is_empty() {
            line += &format!(", {} {missing}", shared.missing.len());
        }
        complain(&line);
        Ok(ExitCode::SUCCESS)
    }
}
