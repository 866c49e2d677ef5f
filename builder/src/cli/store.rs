//! `builder store`: what is in the store, whether it is good, and what of it can go.

mod share;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::global::Global;
use crate::cli::screen::{complain, say};
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::reach;
use crate::store::gc::{self, Reach};
use crate::store::verify::{self, Report, State};
use crate::store::{Store as Opened, StoreError};

/// Commands of `builder store`.
#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Hash everything in the store and name what is wrong
    Verify(Verify),
    /// Remove what the profiles, releases and recipes no longer reach
    Gc(Gc),
    /// Copy what a profile's builds read to another place
    Push(share::Share),
    /// Copy what a profile's builds read from another place, verified
    Pull(share::Share),
}

/// Arguments of `builder store verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Delete what is wrong, so that the next build makes it again
    #[arg(long)]
    remove: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `builder store gc`.
#[derive(Debug, Args)]
pub(super) struct Gc {
    /// Another of Kiln's folders that uses this store
    #[arg(long, value_name = "DIR")]
    keep: Vec<PathBuf>,
    /// Remove nothing; only say what would go
    #[arg(long)]
    dry_run: bool,
}

impl Store {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Verify(verify) => verify.run(global),
            Self::Gc(gc) => gc.run(global),
            Self::Push(share) => share.push(global),
            Self::Pull(share) => share.pull(global),
        }
    }
}

impl Verify {
    fn run(self, global: &Global) -> Result<ExitCode> {
        let root = global.store()?;
        let store = if self.remove { Opened::alone(&root)? } else { Opened::look(&root)? };
        let progress = Progress::new();
        let task = progress.task("hashing the store");
        let mut report = verify::verify(&store)?;
        task.finish();
        if self.remove {
            verify::remove(&store, &mut report)?;
        }
        say(&if self.json { json(&report) } else { text(&report) })?;
        let (checked, wrong) = (report.files + report.steps, report.wrong());
        if wrong > 0 {
            return Err(StoreError::Wrong { wrong, checked }.into());
        }
        let removed = report.findings.iter().filter(|finding| finding.removed).count();
        complain(&format!(
            "{} files and {} steps: {removed} removed, {} not recorded, the others good",
            report.files,
            report.steps,
            report.not_recorded()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

impl Gc {
    fn run(self, global: &Global) -> Result<ExitCode> {
        let root = global.store()?;
        let store = if self.dry_run { Opened::look(&root)? } else { Opened::alone(&root)? };
        let progress = Progress::new();
        let mut reach = Reach::default();
        for project in std::iter::once(&global.project).chain(&self.keep) {
            reach.add(reach::of(project, global.images.as_deref(), &store, &progress)?);
        }
        let gone = gc::find(&store, &reach)?;
        if !self.dry_run {
            gc::remove(&store, &gone)?;
        }
        let lines: String = gone.iter().map(|gone| format!("{:>12}  {}\n", gone.bytes, gone.entry)).collect();
        say(&lines)?;
        let bytes: u64 = gone.iter().map(|gone| gone.bytes).sum();
        let what = if self.dry_run { "would be removed" } else { "removed" };
        complain(&format!("{} entries with {bytes} bytes {what}", gone.len()));
        Ok(ExitCode::SUCCESS)
    }
}

fn json(report: &Report) -> String {
    let Report { files, steps, findings } = report;
    let value = serde_json::json!({ "version": 1, "files": files, "steps": steps, "findings": findings });
    format!("{value:#}\n")
}

/// A line for each entry that is not known to be good.
fn text(report: &Report) -> String {
    let line = |finding: &verify::Finding| {
        let state = match (&finding.state, finding.removed) {
            (State::Wrong, false) => "wrong",
            (State::Wrong, true) => "removed",
            (State::NotRecorded, _) => "not recorded",
        };
        format!("{state:<12}  {}  {}\n", finding.entry, finding.message)
    };
    report.findings.iter().map(line).collect()
}
