//! The command line: what was typed becomes requests to the library, what comes back goes to standard output.
//!
//! Standard output carries data that can be piped; everything else goes to standard error.

mod build;
mod doctor;
mod lock;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::error::Result;
use crate::lock::format::Arch;
use crate::mirror::Mirrors;
use crate::plan::Request;

/// Bakes a Kubernetes cluster into bit-for-bit reproducible disk images.
#[derive(Debug, Parser)]
#[command(name = "builder", version, max_term_width = 100)]
struct Cli {
    /// Kiln's folder, with lockfile.toml, profiles/, images/ and recipes/
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// The store of downloads and results [default: $XDG_CACHE_HOME/kiln]
    #[arg(long, global = true, value_name = "DIR", env = "KILN_STORE")]
    store: Option<PathBuf>,
    /// Base URL of a Debian mirror [default: the host's own, when it is Debian]
    #[arg(long, global = true, value_name = "URL")]
    debian_mirror: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the images of a profile
    Build(build::Build),
    /// Fetch everything that a build needs, and build nothing
    Fetch(build::Fetch),
    /// Make or check the lockfile
    #[command(subcommand)]
    Lock(lock::Lock),
    /// Start the machines of a built profile
    Up(vm::Up),
    /// Stop them
    Down(vm::Down),
    /// Say what runs
    Status(vm::Status),
    /// Show a machine's serial console
    Logs(vm::Logs),
    /// Print the commands that start the machines with other tools
    Print(vm::Print),
    /// Say what this host lacks
    Doctor(doctor::Doctor),
}

/// Which profile, release and lockfile.
#[derive(Debug, Args)]
struct Target {
    /// Name of a profile in profiles/, or the path of one
    #[arg(long, value_name = "PROFILE")]
    profile: String,
    /// Release of the lockfile [default: the profile's, else the lockfile's]
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// Architecture of the images
    #[arg(long, value_name = "ARCH", default_value = "amd64")]
    arch: Arch,
    /// The lockfile [default: lockfile.toml of the project]
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
}

/// What every command may use of the global arguments.
struct Global {
    project: PathBuf,
    store: Option<PathBuf>,
    debian_mirror: Option<String>,
}

impl Global {
    fn request(&self, target: &Target) -> Request {
        Request {
            project: self.project.clone(),
            profile: target.profile.clone(),
            release: target.release.clone(),
            arch: target.arch,
            lockfile: target.lockfile.clone().unwrap_or_else(|| crate::plan::lockfile(&self.project)),
        }
    }

    fn mirrors(&self) -> Result<Mirrors> {
        Ok(Mirrors::find(self.debian_mirror.as_deref())?)
    }

    /// The store: the argument, else the user's cache folder (XDG base directory specification).
    fn store(&self) -> Result<PathBuf> {
        if let Some(path) = &self.store {
            return Ok(path.clone());
        }
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        Ok(cache.map(|cache| cache.join("kiln")).ok_or(NoStore)?)
    }
}

/// There is no home folder.
#[derive(Debug, thiserror::Error)]
#[error("no place for the store: neither XDG_CACHE_HOME nor HOME is set")]
struct NoStore;

impl crate::error::Explain for NoStore {
    fn class(&self) -> crate::error::Class {
        crate::error::Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some("name one with `--store DIR`".to_owned())
    }
}

/// Runs the command line and returns the exit code: 0 done, 1 the caller's input, 2 ours or the host's.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("KILN_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let Cli { project, store, debian_mirror, command } = cli;
    let global = Global { project, store, debian_mirror };
    let outcome = match command {
        Command::Build(build) => build.run(&global),
        Command::Fetch(fetch) => fetch.run(&global),
        Command::Lock(lock) => lock.run(&global),
        Command::Up(up) => up.run(&global),
        Command::Down(down) => down.run(&global),
        Command::Status(status) => status.run(&global),
        Command::Logs(logs) => logs.run(&global),
        Command::Print(print) => print.run(&global),
        Command::Doctor(doctor) => doctor.run(&global),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Data for standard output. A reader that went away ends the program quietly.
fn say(text: &str) -> Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// A line for the person, on standard error.
fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}
