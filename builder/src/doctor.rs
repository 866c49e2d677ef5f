//! What a host must have: a kernel with namespaces, ids for an ordinary user's sandbox, room and a package mirror.
//!
//! Everything else, QEMU included, comes from the lock.

use std::fmt;
use std::path::Path;

use fs_err as fs;
use serde::Serialize;

use crate::error::Result;
use crate::mirror::Mirrors;
use crate::sandbox;
use crate::store::room;

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// How it stands.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a thing stands.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Good {
        /// What was found.
        found: String,
    },
    /// Builds will fail.
    Missing {
        /// The fact.
        fact: String,
        /// The way out.
        hint: String,
    },
    /// Only slower, or only in some cases.
    Weak {
        /// The fact.
        fact: String,
    },
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match &self.outcome {
            Outcome::Good { found } => write!(f, "ok       {name}: {found}"),
            Outcome::Weak { fact } => write!(f, "weak     {name}: {fact}"),
            Outcome::Missing { fact, hint } => write!(f, "missing  {name}: {fact}\n         hint: {hint}"),
        }
    }
}

/// Looks at the host.
#[must_use]
pub fn examine(store: &Path, mirrors: &Result<Mirrors>) -> Vec<Check> {
    let check = |name, outcome| Check { name, outcome };
    vec![
        check("namespaces", namespaces()),
        check("room for the store", room(store)),
        check("Debian mirror", mirror(mirrors)),
        check("virtualisation", kvm()),
        check("images of arm64", foreign()),
    ]
}

/// A sandbox of the host's own root: what fails for it fails for every step.
fn namespaces() -> Outcome {
    match sandbox::probe() {
        Ok(()) if nix::unistd::geteuid().is_root() => Outcome::Good { found: "as root".to_owned() },
        Ok(()) => Outcome::Good { found: "user namespaces, with subordinate ids".to_owned() },
        Err(error) => {
            let fact = error.to_string();
            let hint = match fact.contains("newuidmap") || fact.contains("newgidmap") {
                true => "apt-get install uidmap   # Fedora: dnf install shadow-utils",
                false if fact.contains("/etc/sub") => "see the message: `usermod` gives the ranges",
                false => {
                    "allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`, or AppArmor's `kernel.apparmor_restrict_unprivileged_userns=0`), or run as root"
                }
            };
            Outcome::Missing { fact, hint: hint.to_owned() }
        }
    }
}

fn room(store: &Path) -> Outcome {
    let existing = store.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match room::free(existing) {
        Ok(free) => {
            let fact = format!("{} GB free at {}", free / 1_000_000_000, existing.display());
            if free >= room::BUILD {
                return Outcome::Good { found: fact };
            }
            let hint = format!(
                "a cold build takes {} GB; name another place with `--store DIR`",
                room::BUILD / 1_000_000_000
            );
            Outcome::Missing { fact, hint }
        }
        Err(error) => Outcome::Missing {
            fact: error.to_string(),
            hint: "name another place with `--store DIR`".to_owned(),
        },
    }
}

fn mirror(mirrors: &Result<Mirrors>) -> Outcome {
    match mirrors {
        Ok(_) => Outcome::Good { found: "configured".to_owned() },
        Err(error) => {
            let text = error.to_string();
            let (fact, hint) =
                text.split_once("\n\nhint: ").unwrap_or((&text, "name one with `--debian-mirror URL`"));
            Outcome::Missing { fact: fact.to_owned(), hint: hint.to_owned() }
        }
    }
}

/// Their packages' scripts run by an emulator that a user namespace registers for itself.
fn foreign() -> Outcome {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if version(release) >= Some((6, 7)) {
        return Outcome::Good { found: format!("Linux {release}") };
    }
    Outcome::Weak { fact: format!("cannot be built here: that takes Linux 6.7 or newer, this is {release}") }
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kvm() -> Outcome {
    match fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Outcome::Good { found: "/dev/kvm".to_owned() },
        Err(error) => Outcome::Weak { fact: format!("machines will be emulated, which is slow ({error})") },
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_release_begins_with_two_numbers() {
        assert_eq!(version("6.12.48+deb13-amd64"), Some((6, 12)));
        assert_eq!(version("6.7-rc1"), Some((6, 7)));
        assert_eq!(version("x"), None);
    }
}
