//! `builder lock audit`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::global::Global;
use crate::cli::screen::{complain, say};
use crate::ground::error::Result;
use crate::lock::audit::{Audit as Report, Finding, audit};
use crate::lock::osv;
use crate::lockfile::Lock;
use crate::plan;

/// What is looked at, and the exit code.
const NOTES: &str = "\
Nothing is asked over the network. FEED is a file with one vulnerability in the
OSV format or an array of them, or a folder of such *.json files.

Exit codes: 0 nothing found, 1 findings or your input is wrong, 2 trouble.";

/// Arguments of `builder lock audit`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Audit {
    /// Known vulnerabilities; again for another
    #[arg(long, value_name = "FEED")]
    osv: Vec<PathBuf>,
    /// One release instead of all
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
}

impl Audit {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let lockfile = global.lockfile(self.lockfile);
        let lock = Lock::load(&lockfile)?;
        if let Some(name) = &self.release
            && !lock.release.contains_key(name)
        {
            return Err(plan::roles::unknown_release(&lock, name.clone(), None));
        }
        let feed = osv::load(&self.osv)?;
        let report = audit(&lock, self.release.as_deref(), &feed, &crate::ground::progress::today());
        say(&if self.json { json(&report) } else { report.findings.iter().map(line).collect() })?;
        for component in &report.unknown {
            complain(&format!("note: no feed can know what `{component}` is"));
        }
        let (compared, entries, found) = (report.compared, feed.len(), report.findings.len());
        complain(&format!("{compared} inputs, {entries} vulnerabilities in the feed: {found} findings"));
        Ok(ExitCode::from(u8::from(found > 0)))
    }
}

fn line(finding: &Finding) -> String {
    let Finding { what, subject, message, used_by } = finding;
    match used_by.is_empty() {
        true => format!("{what}  {subject}: {message}\n"),
        false => format!("{what}  {subject}: {message} ({})\n", used_by.join(", ")),
    }
}

fn json(report: &Report) -> String {
    let Report { findings, compared, unknown } = report;
    let object = serde_json::json!({
        "version": 1, "findings": findings, "compared": compared, "unknown": unknown,
    });
    format!("{object:#}\n")
}
