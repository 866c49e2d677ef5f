//! The command line: what was typed becomes requests to the library, what comes back goes to standard output.
//!
//! Standard output carries data that can be piped; everything else goes to standard error.

mod build;
mod bundle;
mod certs;
mod diff;
mod doctor;
mod etcd;
mod explain;
mod export;
mod global;
mod hash;
mod inspect;
mod lock;
mod machines;
mod prove;
mod screen;
mod seed;
mod store;
mod verify;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::global::Global;
use crate::cli::screen::complain;
use crate::fetch::shown;
use crate::ground::call;
use crate::ground::error::Result;

/// What stands in for a global option that is not given; lines of at most 80 columns, as all help.
const DEFAULTS: &str = "\
The store is in $XDG_CACHE_HOME/kiln, else in ~/.cache/kiln. The mirror is that
of KILN_DEBIAN_MIRROR, else of ~/.config/kiln/config.toml, else the one of this
host's apt sources. KILN_LOG=debug shows more.
The builder of a bundle takes its own folder and the store in it instead.

Exit codes: 0 done, 1 your input is wrong, 2 Kiln or this host failed.";

/// Bakes a Kubernetes cluster into bit-for-bit reproducible disk images.
#[derive(Debug, Parser)]
#[command(name = "builder", version, next_help_heading = "Global options", after_help = DEFAULTS)]
struct Cli {
    /// Kiln's folder, with lockfile.toml [default: .]
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Store of downloads and results
    #[arg(long, global = true, value_name = "DIR", env = "KILN_STORE", hide_env_values = true)]
    store: Option<PathBuf>,
    /// A site's recipes, beside images/
    #[arg(long, global = true, value_name = "DIR", env = "KILN_IMAGES", hide_env_values = true)]
    images: Option<PathBuf>,
    /// Base URL of a Debian mirror
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
    /// Write everything that a profile's builds need to one file
    Bundle(bundle::Bundle),
    /// Write what a build of the lockfile compiles to a folder
    Export(export::Export),
    /// Write what makes a machine one node: a NoCloud disk with its keys
    Seed(seed::Seed),
    /// Make or check the lockfile
    #[command(subcommand)]
    Lock(lock::Lock),
    /// Check and clean the store of downloads and results
    #[command(subcommand)]
    Store(store::Store),
    /// Start the machines of a built profile
    Up(vm::Up),
    /// Stop the machines of a profile
    Down(vm::Down),
    /// Say which machines run and how far their boot is
    Status(vm::Status),
    /// Show a machine's serial console
    Logs(vm::Logs),
    /// Log in on a node, or run a command there
    Ssh(vm::Ssh),
    /// Print the administrator's kubeconfig for this machine
    Kubeconfig(vm::Kubeconfig),
    /// Print the commands that start the machines with other tools
    Print(vm::Print),
    /// Copy a cluster's data, or give a cluster that of a copy
    #[command(subcommand)]
    Etcd(etcd::Etcd),
    /// Look at a cluster's certificates
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Look into a disk image, any one: list, print or copy its files
    Inspect(inspect::Inspect),
    /// Say in what two disk images differ
    Diff(diff::Diff),
    /// Check built images against their report, and for secrets
    Verify(verify::Verify),
    /// Build images again and compare: are they what their inputs make?
    Prove(prove::Prove),
    /// Print the content hashes that a profile's images have
    Hash(hash::Hash),
    /// Say what a file, unit, certificate or flag of the machines is for
    Explain(explain::Explain),
    /// Say what this host lacks for building and booting
    Doctor(doctor::Doctor),
}

impl Command {
    fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Build(build) => build.run(global),
            Self::Fetch(fetch) => fetch.run(global),
            Self::Bundle(bundle) => bundle.run(global),
            Self::Export(export) => export.run(global),
            Self::Seed(seed) => seed.run(global),
            Self::Lock(lock) => lock.run(global),
            Self::Store(store) => store.run(global),
            Self::Up(up) => up.run(global),
            Self::Down(down) => down.run(global),
            Self::Status(status) => status.run(global),
            Self::Logs(logs) => logs.run(global),
            Self::Ssh(ssh) => ssh.run(global),
            Self::Kubeconfig(kubeconfig) => kubeconfig.run(global),
            Self::Print(print) => print.run(global),
            Self::Etcd(etcd) => etcd.run(global),
            Self::Certs(certs) => certs.run(global),
            Self::Inspect(inspect) => inspect.run(),
            Self::Diff(diff) => diff.run(),
            Self::Verify(verify) => verify.run(),
            Self::Prove(prove) => prove.run(global),
            Self::Hash(hash) => hash.run(global),
            Self::Explain(explain) => explain.run(global),
            Self::Doctor(doctor) => doctor.run(global),
        }
    }
}

/// Runs the command line and returns the exit code: 0 done, 1 the caller's input, 2 ours or the host's.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // 1 of `diff` means that two images differ.
            let is_diff = std::env::args_os().skip(1).any(|command| command == "diff");
            return ExitCode::from(u8::from(error.use_stderr()) * if is_diff { 2 } else { 1 });
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("KILN_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let outcome = {
        let Cli { project, store, images, debian_mirror, command } = cli;
        // Credentials stand in no message.
        let mirror = debian_mirror.as_ref().filter(|url| shown(url) == **url).map(Path::new);
        call::remember(
            &std::env::args_os().next().unwrap_or_default().to_string_lossy(),
            &[
                ("--project", project.as_deref()),
                ("--store", call::given(store.as_ref(), "KILN_STORE")),
                ("--images", call::given(images.as_ref(), "KILN_IMAGES")),
                ("--debian-mirror", mirror),
            ],
        );
        Global::new(project, store, debian_mirror, images).and_then(|global| command.run(&global))
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::{Command, CommandFactory, Parser};
    use fs_err as fs;

    use super::Cli;

    /// The commands that a source names in backticks, or with a whole text; what is filled in later stands in braces.
    fn commands(text: &str) -> impl Iterator<Item = String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with(['/', '#']));
        let named = |line: &str, quote: char| {
            let parts = line.split(quote).skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
            parts.into_iter().filter(|part| part.starts_with("builder "))
        };
        lines.flat_map(move |line| named(line, '`').chain(named(line, '"')).collect::<Vec<_>>())
    }

    /// What people are told to type can be typed: the commands and options of every hint are there.
    #[test]
    fn every_command_that_a_message_names_is_one() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (mut seen, mut wrong) = (0, Vec::new());
        for folder in ["src", "../images"] {
            for entry in walkdir::WalkDir::new(source.join(folder)) {
                let entry = entry.unwrap();
                // Tests name what they like.
                let is_test = entry.path().ends_with("tests.rs");
                let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
                let text = if is_test { "" } else { text.split("#[cfg(test)]").next().unwrap_or_default() };
                for named in commands(text) {
                    for command in named.split(" && ") {
                        seen += 1;
                        if !is_one(command) {
                            wrong.push(format!("{}: {command}", entry.path().display()));
                        }
                    }
                }
            }
        }
        assert!(seen > 40, "only {seen} were found");
        assert_eq!(wrong, Vec::<String>::new());
    }

    fn is_one(command: &str) -> bool {
        let filled = [
            ("{results}", "--profile p --out o"),
            ("{}", "--profile p"),
            ("{runs}", "libvirt"),
            ("{arch}", "arm64"),
        ];
        let filled = filled.iter().fold(command.to_owned(), |text, (part, value)| text.replace(part, value));
        let words = filled.split_whitespace().filter(|word| *word != "…");
        let words: Vec<&str> = words.map(|word| if word.contains('{') { "x" } else { word }).collect();
        // A command alone is meant as a whole, with whatever it takes.
        let mut known = Cli::command();
        let mut here = Some(&mut known);
        let alone = words[1..].iter().all(|word| {
            here = here.take().and_then(|command| command.find_subcommand_mut(word));
            here.is_some()
        });
        let is_help = |error: clap::Error| error.kind() == clap::error::ErrorKind::DisplayHelp;
        alone || Cli::try_parse_from(&words).map_or_else(is_help, |_| true)
    }

    /// Each command's help, `builder` first, under its name.
    fn help(command: &mut Command, name: &str, text: &mut String) {
        text.push_str(&format!("\n## `{name}`\n\n```text\n{}```\n", command.render_help()));
        for subcommand in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let name = format!("{name} {}", subcommand.get_name());
            help(subcommand, &name, text);
        }
    }

    /// `KILN_ACCEPT=1` writes the reference anew.
    #[test]
    fn the_reference_has_the_help_of_every_command_in_80_columns() {
        let mut command = Cli::command();
        command.build();
        let mut text = "# Commands\n\nWhat `--help` prints; a test compares.\n".to_owned();
        help(&mut command, "builder", &mut text);
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert_eq!(wide, Vec::<&str>::new());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cli.md");
        if std::env::var_os("KILN_ACCEPT").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert!(
            text == fs::read_to_string(&path).unwrap_or_default(),
            "docs/reference/cli.md is not what `--help` prints"
        );
    }
}
