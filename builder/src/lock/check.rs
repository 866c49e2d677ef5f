//! `builder lock check`: whether the lock still follows from what it was made of. Nothing is downloaded.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::changes::Changes;
use super::chosen::Chosen;
use super::format::{Arch, Lock};
use super::{edit, resolve};
use crate::error::{Class, Explain, Result};

/// The lock is well-formed, but not the one that the project's files call for.
#[derive(Debug, thiserror::Error)]
#[error("{} is not up to date:\n{}", path.display(), findings.trim_end())]
pub struct Stale {
    /// The lockfile.
    pub path: PathBuf,
    /// The differences, a line each.
    pub findings: String,
}

impl Explain for Stale {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some("builder lock update".to_owned())
    }
}

/// Verifies the lockfile against the project, and returns it.
///
/// # Errors
/// [`LockError`](super::LockError) when it is malformed, [`Stale`] with the differences when it is not up to date.
pub fn check(project: &Path, lockfile: &Path) -> Result<Lock> {
    let text = Lock::read(lockfile)?;
    let lock = Lock::parse(lockfile, &text)?;
    let mut wanted = lock.clone();
    resolve::derive(project, &mut wanted, &Chosen::all(&lock))?;
    let mut findings = Changes::between(&lock, &wanted).to_string();
    for (name, root) in &lock.root {
        for arch in &root.architectures {
            for package in root.request_for(*arch) {
                if !lock.packages(name, *arch).any(|deb| deb.name == package) {
                    let _ = writeln!(findings, "! root {name}: `{package}` has no package for {arch}");
                }
            }
        }
    }
    for (name, build) in &lock.build {
        for arch in [&Arch::HOST].into_iter().chain(build.cross.keys()) {
            if build.output.get(arch).is_none_or(std::collections::BTreeMap::is_empty) {
                let _ = writeln!(findings, "! build {name}: no expected output for {arch}");
            }
        }
    }
    let written = edit::write(&text, &lock).unwrap_or_default();
    if findings.is_empty() && written != text {
        findings = layout(&text, &written);
    }
    if findings.is_empty() { Ok(lock) } else { Err(Stale { path: lockfile.to_owned(), findings }.into()) }
}

/// The first lines that differ from what the update writes, `-` as they are and `+` as they would be.
fn layout(text: &str, written: &str) -> String {
    let same = text.lines().zip(written.lines()).take_while(|(found, canonical)| found == canonical).count();
    let mut findings = format!("! line {} is not laid out as the update writes it\n", same + 1);
    for (sign, text) in [('-', text), ('+', written)] {
        if let Some(line) = text.lines().nth(same) {
            let _ = writeln!(findings, "{sign} {line}");
        }
    }
    findings
}
