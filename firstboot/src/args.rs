//! The command line of the program. Every place that it reads or writes can be moved, so that it runs in a test
//! directory as it does in a machine. It does not own the kernel's command line: that is a source.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg::{Long, Value};
use lexopt::ValueExt;

/// What `--help` prints.
pub const HELP: &str = "\
Makes this machine one particular node of the cluster that its image belongs to.

Usage: firstboot [OPTION]...
       firstboot status [--root DIR] [--json]
       firstboot peers [--once] [OPTION]...

  --root DIR         directory to read the image's data from and to write to (default /)
  --cmdline FILE     kernel command line (default /proc/cmdline)
  --sys DIR          the kernel's device tree (default /sys)
  --dev DIR          the device files (default /dev)
  --routes FILE      the kernel's table of routes (default /proc/net/route)
  --credentials DIR  systemd's credentials (default $CREDENTIALS_DIRECTORY, else those of kiln-firstboot.service)
  --identity DEVICE  device or file that holds the identities (default: the partition kiln-identity)
  --wait SECONDS     how long to wait for a card, a disk or a server that is to come (default 0)
  --metadata         ask the cloud's metadata server, when the image or a source names a cloud
  --metadata-server ADDRESS:PORT
                     where that server is (default 169.254.169.254:80)
  --dry-run          print what would be done, and change nothing

peers keeps the hosts file and the routes to the other nodes true where DHCP gives the addresses; with --once it only waits
for this node's own address, up to --wait, and writes it.

status shows what was applied at the last boot, and where each value came from.
";

/// The credentials of the service that runs at boot, relative to the root.
const CREDENTIALS: &str = "run/credentials/kiln-firstboot.service";

/// Where one run reads from and writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Directory that holds the image and receives the files.
    pub root: PathBuf,
    /// File with the kernel command line.
    pub cmdline: PathBuf,
    /// The kernel's device tree.
    pub sys: PathBuf,
    /// Folder with the device files.
    pub dev: PathBuf,
    /// The kernel's table of IPv4 routes.
    pub routes: PathBuf,
    /// Folder with systemd's credentials.
    pub credentials: Option<PathBuf>,
    /// Device or file with the identities; without it the partition is looked up by its name.
    pub identity: Option<PathBuf>,
    /// How long to wait for a network card of the node table, or for a disk that is announced,
    /// or for the metadata server.
    pub wait: Duration,
    /// Whether this run is the one after the network, which asks the metadata server.
    pub metadata: bool,
    /// The metadata server.
    pub metadata_server: SocketAddr,
    /// Print the plan and change nothing.
    pub dry_run: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            root: "/".into(),
            cmdline: "/proc/cmdline".into(),
            sys: "/sys".into(),
            dev: "/dev".into(),
            routes: "/proc/net/route".into(),
            credentials: None,
            identity: None,
            wait: Duration::ZERO,
            metadata: false,
            // The same address in every cloud.
            metadata_server: SocketAddr::from(([169, 254, 169, 254], 80)),
            dry_run: false,
        }
    }
}

/// What the caller asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Configure the node.
    Run(Args),
    /// Look after the other nodes' addresses.
    Peers {
        /// Where to look and write.
        args: Args,
        /// End when the own address is written.
        once: bool,
    },
    /// Show what was applied.
    Status {
        /// Directory that holds the record.
        root: PathBuf,
        /// As JSON.
        json: bool,
    },
    /// Print this text.
    Print(String),
}

/// The arguments make no sense; the text says which.
#[derive(Debug, thiserror::Error)]
#[error("{0}; run `firstboot --help` for the options")]
pub struct ArgsError(#[from] lexopt::Error);

impl Args {
    /// Reads the arguments without the program's name; `credentials` is the folder that systemd names in the
    /// environment. By hand it is the service's, which stays when the service has run.
    ///
    /// # Errors
    /// An option is unknown, lacks its value or has one that is no number.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        credentials: Option<OsString>,
    ) -> Result<Command, ArgsError> {
        let mut parsed = Self { credentials: credentials.map(Into::into), ..Self::default() };
        let mut parser = lexopt::Parser::from_args(args);
        let (mut word, mut json, mut once) = (None, false, false);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("root") => parsed.root = parser.value()?.into(),
                Long("cmdline") => parsed.cmdline = parser.value()?.into(),
                Long("sys") => parsed.sys = parser.value()?.into(),
                Long("dev") => parsed.dev = parser.value()?.into(),
                Long("routes") => parsed.routes = parser.value()?.into(),
                Long("credentials") => parsed.credentials = Some(parser.value()?.into()),
                Long("identity") => parsed.identity = Some(parser.value()?.into()),
                Long("wait") => parsed.wait = Duration::from_secs(parser.value()?.parse()?),
                Long("metadata") => parsed.metadata = true,
                Long("metadata-server") => parsed.metadata_server = parser.value()?.parse()?,
                Long("dry-run") => parsed.dry_run = true,
                Value(given) if word.is_none() && (given == "status" || given == "peers") => {
                    word = Some(given)
                }
                Long("json") if word.as_ref().is_some_and(|word| word == "status") => json = true,
                Long("once") if word.as_ref().is_some_and(|word| word == "peers") => once = true,
                Long("help") => return Ok(Command::Print(HELP.to_owned())),
                Long("version") => {
                    return Ok(Command::Print(format!("firstboot {}\n", env!("CARGO_PKG_VERSION"))));
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if parsed.credentials.is_none() {
            parsed.credentials = Some(parsed.root.join(CREDENTIALS));
        }
        Ok(match word {
            None => Command::Run(parsed),
            Some(word) if word == "status" => Command::Status { root: parsed.root, json },
            Some(_) => Command::Peers { args: parsed, once },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Command};

    fn parse(args: &[&str]) -> Result<Command, String> {
        Args::parse(args.iter().map(Into::into), None).map_err(|error| error.to_string())
    }

    #[test]
    fn every_place_can_be_moved() {
        let Ok(Command::Run(args)) = parse(&[
            "--root=/r",
            "--cmdline",
            "c",
            "--sys",
            "s",
            "--dev=d",
            "--routes=t",
            "--credentials=c",
            "--identity",
            "i",
            "--wait",
            "5",
            "--metadata",
            "--metadata-server=127.0.0.1:8080",
            "--dry-run",
        ]) else {
            panic!("refused");
        };
        insta::assert_debug_snapshot!(args, @r#"
        Args {
            root: "/r",
            cmdline: "c",
            sys: "s",
            dev: "d",
            routes: "t",
            credentials: Some(
                "c",
            ),
            identity: Some(
                "i",
            ),
            wait: 5s,
            metadata: true,
            metadata_server: 127.0.0.1:8080,
            dry_run: true,
        }
        "#);
    }

    #[test]
    fn wrong_arguments_are_named() {
        insta::assert_snapshot!(parse(&["--rot", "/"]).unwrap_err(), @"invalid option '--rot'; run `firstboot --help` for the options");
        insta::assert_snapshot!(parse(&["--wait", "soon"]).unwrap_err(), @r#"cannot parse argument "soon": invalid digit found in string; run `firstboot --help` for the options"#);
        insta::assert_snapshot!(parse(&["x"]).unwrap_err(), @r#"unexpected argument "x"; run `firstboot --help` for the options"#);
    }
}
