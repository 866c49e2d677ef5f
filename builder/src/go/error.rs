//! Why Go modules did not reach the store, and what to do about it.

use std::path::PathBuf;

use crate::fetch::shown;
use crate::ground::error::{Class, Explain};
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::ModuleSum;

/// Why Go modules did not reach the store.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// The recipe was changed after the lock.
    #[error("`{}` is not the file that the lockfile was made of", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The build that compiles what it says.
        build: String,
    },
    /// The network was forbidden.
    #[error(
        "the Go module {module} is not in the store, and --offline forbids fetching it ({missing} modules are missing)"
    )]
    Offline {
        /// The first missing module.
        module: String,
        /// How many are missing.
        missing: usize,
    },
    /// The go command did not get them.
    #[error("fetching the Go modules of `{build}`: {message}")]
    Fetch {
        /// The build.
        build: String,
        /// Its recipe's folder below `recipes/`.
        recipe: String,
        /// What the go command said.
        message: String,
    },
    /// What came is not what the lock says.
    #[error("the Go module {module}: the checksum does not match\n  expected {expected}\n  found    {found}")]
    Mismatch {
        /// The module.
        module: String,
        /// The lock's hash.
        expected: ModuleSum,
        /// The hash of what came.
        found: ModuleSum,
    },
    /// The go command reads other modules than the lock names.
    #[error("the build `{build}` does not read the Go module {module}, which the lockfile names for it")]
    Unread {
        /// The build.
        build: String,
        /// The module.
        module: String,
    },
    /// The module of Go itself is not what it should be.
    #[error("unpacking Go from {module}: {message}")]
    Toolchain {
        /// The module.
        module: String,
        /// The fact.
        message: String,
    },
    /// The lock names a module that go.mod does not have.
    #[error("`{}` requires no module `{module}`, which the build `{build}` takes its version from", path.display())]
    NoModule {
        /// The go.mod.
        path: PathBuf,
        /// The build.
        build: String,
        /// The module.
        module: String,
    },
    /// The recipe lacks a file.
    #[error("the build `{build}` compiles Go modules, but has no `{}`", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
        /// The build.
        build: String,
    },
}

impl Explain for GoError {
    fn class(&self) -> Class {
        match self {
            Self::Changed { .. }
            | Self::Offline { .. }
            | Self::Unread { .. }
            | Self::NoModule { .. }
            | Self::NoFile { .. } => Class::Input,
            Self::Fetch { message, .. } if Cause::of(message) == Cause::Recipe => Class::Input,
            Self::Fetch { .. } | Self::Mismatch { .. } | Self::Toolchain { .. } => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Changed { build, .. } | Self::Unread { build, .. } => {
                format!("builder lock update {build}")
            }
            Self::Offline { .. } => {
                "run `builder fetch` with the same arguments where there is a network".to_owned()
            }
            Self::Fetch { recipe, message, .. } => Cause::of(message).hint(recipe),
            Self::Mismatch { .. } => Cause::Wrong.hint(""),
            Self::Toolchain { .. } => return None,
            Self::NoModule { module, .. } => {
                format!(
                    "name in the lockfile's `module` one that go.mod requires, or require `{module}` there"
                )
            }
            Self::NoFile { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                format!("write it, then run `go mod tidy` in {}", folder.display())
            }
        })
    }
}

/// What a failure of the go command comes from, by what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// What came is not what go.sum or the checksum database says.
    Wrong,
    /// A proxy wants to know who asks, or does not give this module to anybody.
    Refused,
    /// Nobody has it.
    NotThere,
    /// go.mod and go.sum do not go together.
    Recipe,
    /// The checksum database does not answer, or must not be asked.
    Database,
    /// The network, or a proxy's bad day.
    Network,
}

impl Cause {
    fn of(message: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&["checksum mismatch", "SECURITY ERROR", "not a valid zip", "zip: not a valid"]) {
            Self::Wrong
        } else if says(&[
            "missing go.sum entry",
            "errors parsing go.mod",
            "updates to go.mod needed",
            "go mod tidy",
            "malformed go.sum",
        ]) {
            Self::Recipe
        } else if says(&["401 Unauthorized", "403 Forbidden", "407 Proxy"]) {
            Self::Refused
        } else if says(&["404 Not Found", "410 Gone", "unknown revision", "not found", "invalid version"]) {
            Self::NotThere
        } else if says(&["checksum database", "GOSUMDB"]) {
            Self::Database
        } else {
            Self::Network
        }
    }

    fn hint(self, recipe: &str) -> String {
        match self {
            Self::Wrong => {
                "nothing of it entered the store; name another proxy with GOPROXY=URL, or compare go.sum with the checksum database".to_owned()
            }
            Self::Refused => {
                "name another proxy with GOPROXY=URL, or put `machine HOST login NAME password PASSWORD` into ~/.netrc".to_owned()
            }
            Self::NotThere => format!(
                "name a proxy that has it with GOPROXY=URL, or correct the version in {RECIPES}/{recipe}/go.mod and run `go mod tidy` there"
            ),
            Self::Recipe => format!("run `go mod tidy` in {RECIPES}/{recipe}, then `builder lock update`"),
            Self::Database => {
                "Go itself is always compared with the checksum database, but for GOPROXY=file:///FOLDER: see GOSUMDB in `go help environment`".to_owned()
            }
            Self::Network => {
                "run the same command again: it goes on where it stopped; GOPROXY names the proxies".to_owned()
            }
        }
    }
}

/// What the go command said, without its progress and without passwords.
pub(super) fn told(stderr: &str) -> String {
    // What follows that line is advice of the go command's own.
    let lines = stderr.lines().take_while(|line| !line.contains("SECURITY ERROR"));
    let lines = lines.filter(|line| !line.starts_with("go: downloading ") && !line.trim().is_empty());
    let lines: Vec<String> = lines
        .map(|line| {
            let words =
                line.split(' ').map(|word| if word.contains("://") { shown(word) } else { word.to_owned() });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let start = lines.len().saturating_sub(LINES);
    lines[start..].join("\n  ").trim().to_owned()
}

/// So many lines of what the go command says tell the cause.
const LINES: usize = 8;

#[cfg(test)]
mod tests {
    use super::{Cause, told};

    #[test]
    fn what_the_go_command_says_tells_the_cause() {
        for (said, cause) in [
            ("verifying module: checksum mismatch", Cause::Wrong),
            ("reading https://proxy.example/x/@v/v1.zip: 410 Gone", Cause::NotThere),
            ("reading https://proxy.example/x/@v/v1.zip: 403 Forbidden", Cause::Refused),
            ("missing go.sum entry for module providing package x", Cause::Recipe),
            ("dial tcp: lookup proxy.example: no such host", Cause::Network),
            ("verifying module: checksum database disabled by GOSUMDB=off", Cause::Database),
        ] {
            assert_eq!(Cause::of(said), cause, "{said}");
        }
    }

    #[test]
    fn no_password_is_told() {
        let said =
            told("go: downloading a v1\ngo: a@v1: reading https://me:word@proxy.example/a: 403 Forbidden\n");
        assert!(
            !said.contains("word@") && said.contains("proxy.example") && !said.contains("downloading"),
            "{said}"
        );
    }
}
