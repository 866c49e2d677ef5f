//! What a host must have: a kernel with namespaces, ids for an ordinary user's sandbox, room and a package mirror; and
//! what makes it fast.
//!
//! Everything else, QEMU included, comes from the lock.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use crate::deb::roots;
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::lockfile::Lock;
use crate::mirror::Mirrors;
use crate::stage::base;
use crate::store::{Store, room};
use crate::{archive, driver, sandbox};

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

/// Looks at the host. `project` is Kiln's folder.
#[must_use]
pub fn examine(project: &Path, store: &Path, mirrors: &Result<Mirrors>) -> Vec<Check> {
    let check = |name, outcome| Check { name, outcome };
    vec![
        check("namespaces", namespaces()),
        check("room for the store", room(store)),
        check("Debian mirror", mirror(mirrors)),
        check("virtualisation", virtualisation(project, store)),
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
                true => "`sudo apt-get install uidmap`, on Fedora `sudo dnf install shadow-utils`",
                false if fact.contains("/etc/sub") => "paste the command of the message",
                false => {
                    "allow user namespaces, with `sudo sysctl kernel.unprivileged_userns_clone=1` or, of AppArmor, `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`; or run as root"
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

/// The lock's QEMU has to run the lock's kernel.
fn virtualisation(project: &Path, store: &Path) -> Outcome {
    let emulated =
        |reason| Outcome::Weak { fact: format!("machines will be emulated, which is slow ({reason})") };
    if let Err(error) = driver::open_kvm() {
        return emulated(error.to_string());
    }
    let untried = |reason: &str| Outcome::Weak {
        fact: format!("/dev/kvm opens; whether it runs a kernel could not be tried: {reason}"),
    };
    let Some((qemu, base)) = what_runs(project, store) else {
        return untried("the store has QEMU and a kernel only after `builder build` and `builder up`");
    };
    match kernel(&base).map(|kernel| driver::try_kernel(&qemu, kernel.path())) {
        Ok(Ok(None)) => Outcome::Good { found: "KVM runs the kernel".to_owned() },
        Ok(Ok(Some(reason))) => emulated(reason),
        Ok(Err(error)) => untried(&error.to_string()),
        Err(error) => untried(&error.to_string()),
    }
}

/// The lock's QEMU and the tar of its base root file system, as far as the store has them.
fn what_runs(project: &Path, store: &Path) -> Option<(PathBuf, PathBuf)> {
    let (lock, host) = (Lock::load(&crate::lockfile::path(project)).ok()?, Arch::HOST);
    let store = Store::look(store).ok()?;
    let qemu = store.made(&roots::key(&lock, crate::deb::roots::qemu(host), host))?;
    let base = base::Packages::base(&lock, host).key(project, &roots::tools_key(&lock, host)).ok()?;
    Some((qemu, store.made(&base)?.join("base.tar")))
}

/// The kernel of a root file system's tar.
fn kernel(tar: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut archive = tar::Archive::new(fs::File::open(tar)?);
    let found = archive::read_members(&mut archive, |path, _| path.starts_with("boot/vmlinuz-"))?;
    let kernel =
        found.first().ok_or_else(|| std::io::Error::other("the base root file system has no kernel"))?;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&kernel.content)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{Outcome, kernel, version, virtualisation};

    #[test]
    fn nothing_is_said_to_run_that_was_not_tried() {
        let empty = tempfile::tempdir().unwrap();
        let outcome = virtualisation(empty.path(), &empty.path().join("store"));
        assert!(matches!(outcome, Outcome::Weak { .. }), "{outcome:?}");
    }

    #[test]
    fn the_kernel_is_that_of_the_base_root_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.tar");
        let make = |name: &str| {
            let mut tar = tar::Builder::new(fs::File::create(&path).unwrap());
            let mut header = tar::Header::new_gnu();
            header.set_size(6);
            tar.append_data(&mut header, name, &b"kernel"[..]).unwrap();
            tar.finish().unwrap();
        };
        make("./boot/vmlinuz-6.12.48+deb13-amd64");
        assert_eq!(fs::read(kernel(&path).unwrap().path()).unwrap(), b"kernel");
        make("./boot/config-6.12.48+deb13-amd64");
        let error = kernel(&path).unwrap_err().to_string();
        assert_eq!(error, "the base root file system has no kernel");
    }

    #[test]
    fn a_release_begins_with_two_numbers() {
        assert_eq!(version("6.12.48+deb13-amd64"), Some((6, 12)));
        assert_eq!(version("6.7-rc1"), Some((6, 7)));
        assert_eq!(version("x"), None);
    }
}
