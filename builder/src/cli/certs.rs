//! `builder certs list`: a cluster's certificates, by its profile and its secret.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::global::{Global, SECRET, Target};
use crate::cli::screen::{say, say_json};
use crate::ground::error::Result;
use crate::pipeline;
use crate::pki::Issued;
use crate::plan::Plan;

/// `builder certs …`.
#[derive(Debug, Subcommand)]
pub(super) enum Certs {
    /// Say whose certificates there are and when they end
    List(List),
}

/// Arguments of `builder certs list`.
#[derive(Debug, Args)]
#[command(after_help = SECRET)]
pub(super) struct List {
    #[command(flatten)]
    target: Target,
    /// File with the cluster secret
    #[arg(long, value_name = "FILE", env = "KILN_SECRET", hide_env_values = true)]
    secret: Option<PathBuf>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// A certificate, for scripts.
#[derive(Serialize)]
struct Certificate<'a> {
    label: &'a str,
    subject: String,
    issuer: &'a str,
    /// The day on which it ends, ISO 8601, UTC.
    ends: String,
}

impl<'a> Certificate<'a> {
    fn of(issued: &'a Issued) -> Self {
        Self { label: &issued.label, subject: issued.subject(), issuer: issued.issuer, ends: issued.ends() }
    }
}

impl Certs {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let Self::List(List { target, secret, json }) = self;
        let plan = Plan::resolve(&global.request(&target))?;
        let pki = pipeline::existing_pki(&plan, secret.as_deref())?;
        let all: Vec<Certificate<'_>> = pki.list().map(Certificate::of).collect();
        if json {
            say_json(&all)?;
            return Ok(ExitCode::SUCCESS);
        }
        let width = |text: fn(&Certificate<'_>) -> usize| all.iter().map(text).max().unwrap_or_default();
        let (label, issuer) = (width(|one| one.label.len()), width(|one| one.issuer.len()));
        let mut table =
            format!("{:label$}  {:10}  {:issuer$}  SUBJECT\n", "CERTIFICATE", "ENDS", "SIGNED BY");
        for one in &all {
            table +=
                &format!("{:label$}  {}  {:issuer$}  {}\n", one.label, one.ends, one.issuer, one.subject);
        }
        say(&table)?;
        Ok(ExitCode::SUCCESS)
    }
}
