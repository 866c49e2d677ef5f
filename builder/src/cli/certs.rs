//! `builder certs`: a cluster's certificates, by its profile and its secret, and their renewal.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::global::{Global, SECRET, Target};
use crate::cli::screen::{complain, say, say_json};
use crate::ground::error::Result;
use crate::identity::renew;
use crate::pipeline;
use crate::pki::Issued;
use crate::plan::Plan;

/// `builder certs …`.
#[derive(Debug, Subcommand)]
pub(super) enum Certs {
    /// Say whose certificates there are and when they end
    List(List),
    /// Have the next build make new keys, with new certificates
    Renew(Renew),
}

/// What follows from it.
const RENEWAL: &str = "\
Raises `pki.generation` of each label in the profile. That of an authority
makes all certificates anew that it signs. Then build, and give the nodes the
new images, as `up --replace` does. The content of images is the same.";

/// Arguments of `builder certs renew`.
#[derive(Debug, Args)]
#[command(after_help = RENEWAL)]
pub(super) struct Renew {
    #[command(flatten)]
    target: Target,
    /// Labels of certificates, as `builder certs list` names them
    #[arg(value_name = "CERTIFICATE", required = true)]
    labels: Vec<String>,
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
        match self {
            Self::List(list) => list.run(global),
            Self::Renew(renew) => renew.run(global),
        }
    }
}

impl Renew {
    fn run(self, global: &Global) -> Result<ExitCode> {
        let plan = Plan::resolve(&global.request(&self.target))?;
        let renewed = renew::renew(&plan, &self.labels)?;
        for (label, generation) in renewed {
            complain(&format!("`{label}` is of generation {generation} in {}", plan.profile.path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    fn run(self, global: &Global) -> Result<ExitCode> {
        let Self { target, secret, json } = self;
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
