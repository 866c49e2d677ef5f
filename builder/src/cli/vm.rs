//! `builder up`, `down`, `status`, `logs`, `ssh`, `kubeconfig` and `print`: the machines of a built profile.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::global::Global;
use crate::cli::machines::{Machines, Results, driver_parser};
use crate::cli::screen::{complain, say, say_json};
use crate::deb::roots;
use crate::driver::{self, Accel, Delete, DownRequest, Driver, Firmware, UpRequest, Wait};
use crate::ground::arch::Arch;
use crate::ground::call;
use crate::ground::durable::private;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lockfile::Lock;
use crate::plan;
use crate::results::cluster::ClusterJson;
use crate::store::Store;

/// Arguments of `builder up`.
#[derive(Debug, Args)]
pub(super) struct Up {
    #[command(flatten)]
    machines: Machines,
    /// One node instead of all
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Give a node a new disk, of the last build's image
    #[arg(long, value_name = "NODE", conflicts_with_all = ["node", "wait"])]
    replace: Option<String>,
    /// Give all nodes the last build's image, one by one
    #[arg(long, conflicts_with_all = ["node", "replace", "wait"])]
    upgrade: bool,
    /// kvm, tcg (emulation) or auto
    #[arg(long, value_enum, default_value = "auto", hide_possible_values = true)]
    accel: Accel,
    /// bios or uefi [default: bios; uefi for arm64]
    #[arg(long, value_enum, hide_possible_values = true)]
    firmware: Option<Firmware>,
    /// Keep what reaches the gateway: run/_gateway/*.pcap
    #[arg(long)]
    capture: bool,
    /// ready, login, firstboot or none
    #[arg(long, value_enum, default_value = "ready", hide_possible_values = true)]
    wait: Wait,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "900")]
    timeout: u64,
    /// Use no network: the store must have QEMU
    #[arg(long)]
    offline: bool,
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
    /// More options for QEMU, such as -rtc base=1970-01-01
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Arguments of `builder down`.
#[derive(Debug, Args)]
pub(super) struct Down {
    #[command(flatten)]
    machines: Machines,
    /// One node instead of all
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Seconds to power off; 0 ends at once
    #[arg(long, value_name = "SECONDS", default_value = "90")]
    grace: u64,
    /// Delete the machines' disks and logs too
    #[arg(long)]
    delete: bool,
}

/// Arguments of `builder status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    machines: Machines,
    /// Let the nodes look at themselves and at the cluster
    #[arg(long)]
    checks: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `builder logs`.
#[derive(Debug, Args)]
pub(super) struct Logs {
    #[command(flatten)]
    machines: Machines,
    /// Name of the node
    node: String,
    /// Go on until the machine stops
    #[arg(long, short)]
    follow: bool,
}

/// Arguments of `builder ssh`.
#[derive(Debug, Args)]
pub(super) struct Ssh {
    #[command(flatten)]
    machines: Machines,
    /// Name of the node
    node: String,
    /// Command to run there; a login without one
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Arguments of `builder kubeconfig`.
#[derive(Debug, Args)]
pub(super) struct Kubeconfig {
    #[command(flatten)]
    machines: Machines,
    /// Write it to this file, readable for you alone
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Arguments of `builder print`.
#[derive(Debug, Args)]
pub(super) struct Print {
    #[command(flatten)]
    results: Results,
    /// qemu, libvirt or multipass
    #[arg(long, value_parser = driver_parser(), hide_possible_values = true)]
    driver: &'static dyn Driver,
}

impl Up {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        if self.offline {
            // The machines' ports are on this machine's own network, so that one stays.
            crate::ground::offline::forbid();
        }
        let (results, driver) = self.machines.built(global)?;
        let cluster = ClusterJson::load(&results)?;
        let progress = Progress::new();
        let root = match driver.takes_root() {
            true => Some(self.qemu(global, cluster.arch, &progress)?),
            false => None,
        };
        let request = UpRequest {
            results: &results,
            root: root.as_deref(),
            node: self.replace.as_deref().or(self.node.as_deref()),
            replace: self.replace.is_some(),
            accel: self.accel,
            firmware: self.firmware,
            capture: self.capture,
            options: &self.options,
            wait: self.wait,
            timeout: Duration::from_secs(self.timeout),
        };
        let report = match self.upgrade {
            true => driver::upgrade(driver, &request, &progress)?,
            false => driver::up(driver, &request, &progress)?,
        };
        say(&report.to_string())?;
        complain(&format!(
            "`{}` runs; `builder down {}` ends it",
            cluster.name,
            self.machines.results.arguments()
        ));
        Ok(ExitCode::SUCCESS)
    }

    /// The lock's QEMU for machines of an architecture, unpacked.
    fn qemu(&self, global: &Global, machines: Arch, progress: &Progress) -> Result<PathBuf> {
        let lockfile = global.lockfile(self.lockfile.clone());
        let (lock, store) = (Lock::load(&lockfile)?, Store::open(&global.store()?)?);
        let mirrors = global.mirrors(self.offline)?;
        let (root, host) = (crate::deb::roots::qemu(machines), Arch::HOST);
        let items = plan::inputs::root_items(&lock, &mirrors, host, root);
        crate::fetch::fetch(&store, items, self.offline, progress)?;
        Ok(roots::unpack(&store, &lock, root, host, progress)?.path)
    }
}

impl Down {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let (results, _) = self.machines.folder(global)?;
        let request = DownRequest {
            results: &results,
            node: self.node.as_deref(),
            grace: Duration::from_secs(self.grace),
            delete: if self.delete { Delete::All } else { Delete::Nothing },
        };
        driver::down(&request, &Progress::new())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Status {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let (results, _) = self.machines.built(global)?;
        let mut report = driver::status(&results)?;
        if self.checks {
            report.checks = Some(driver::checks(&results, &Progress::new())?);
        }
        if self.json {
            say_json(&report)?;
        } else {
            say(&call::typed(&report.to_string()))?;
        }
        let good = report.checks.is_none_or(|checks| checks.all_good());
        Ok(ExitCode::from(if good { 0 } else { 2 }))
    }
}

impl Logs {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let (results, _) = self.machines.built(global)?;
        driver::logs(&results, &self.node, self.follow, &mut std::io::stdout())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Ssh {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let (results, _) = self.machines.built(global)?;
        Ok(ExitCode::from(driver::ssh(&results, &self.node, &self.command)?))
    }
}

impl Kubeconfig {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let text = driver::kubeconfig(&self.machines.built(global)?.0)?;
        match self.output {
            Some(file) => private(&file, text.as_bytes())?,
            None => say(&text)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Print {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let cluster = ClusterJson::load(&self.results.built(global)?)?;
        say(&driver::print(&cluster, self.driver)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
