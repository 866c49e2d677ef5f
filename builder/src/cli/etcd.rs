//! `builder etcd`: a cluster's data as a file, and back.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::global::Global;
use crate::cli::machines::Machines;
use crate::cli::screen::{complain, say};
use crate::driver;
use crate::ground::error::Result;
use crate::ground::progress::Progress;

/// `builder etcd …`.
#[derive(Debug, Subcommand)]
pub(super) enum Etcd {
    /// Copy the data of a running cluster to a file
    Snapshot(Snapshot),
    /// Give a running cluster the data of a copy
    Restore(Restore),
}

/// Arguments of `builder etcd snapshot`.
#[derive(Debug, Args)]
pub(super) struct Snapshot {
    #[command(flatten)]
    machines: Machines,
    /// The file, readable for you alone
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

/// Arguments of `builder etcd restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    machines: Machines,
    /// What `builder etcd snapshot` wrote
    file: PathBuf,
}

impl Etcd {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Snapshot(Snapshot { machines, output }) => {
                driver::snapshot(&machines.built(global)?.0, &output, &Progress::new())?;
                say(&format!("{}\n", output.display()))?;
            }
            Self::Restore(Restore { machines, file }) => {
                driver::restore(&machines.built(global)?.0, &file, &Progress::new())?;
                complain(
                    "the cluster has the snapshot's data; what it had is in /var/lib/etcd/before-* of its control planes",
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
