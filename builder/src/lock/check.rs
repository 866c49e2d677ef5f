//! `builder lock check`: whether the lock still follows from what it was made of. Nothing is downloaded.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::go::{self, GoBuild};
use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain, Result};
use crate::lock::changes::Changes;
use crate::lock::chosen::Chosen;
use crate::lock::{edit, resolve};
use crate::lockfile::Lock;
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::Module;
use crate::role::Recipes;

/// The lock is well-formed, but not the one that the project's files call for.
#[derive(Debug, thiserror::Error)]
#[error("{} is not up to date:\n{}", path.display(), findings.trim_end())]
pub struct Stale {
    /// The lockfile.
    pub path: PathBuf,
    /// The differences, a line each.
    pub findings: String,
}

/// What compiling mends.
const NO_OUTPUT: &str = "no expected output for";

impl Explain for Stale {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        let compile = self.findings.lines().all(|line| line.contains(NO_OUTPUT));
        Some(if compile { "builder lock compile" } else { "builder lock update" }.to_owned())
    }
}

/// Verifies the lockfile against the project, and returns it.
///
/// # Errors
/// [`LockError`](crate::lockfile::LockError) when it is malformed, [`Stale`] with the differences when it is not up to date.
pub fn check(project: &Path, recipes: &Recipes, lockfile: &Path) -> Result<Lock> {
    let text = Lock::read(lockfile)?;
    let lock = Lock::parse(lockfile, &text)?;
    let mut wanted = lock.clone();
    resolve::derive(recipes, &mut wanted, &Chosen::all(&lock))?;
    let mut findings = Changes::between(&lock, &wanted).to_string();
    for (name, root) in &wanted.root {
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
                let _ = writeln!(findings, "! build {name}: {NO_OUTPUT} {arch}");
            }
        }
        if let Some(go) = build.go() {
            check_go(project, &lock, GoBuild { name, build, go }, &mut findings)?;
        }
    }
    let written = edit::write(&text, &lock).unwrap_or_default();
    if findings.is_empty() && written != text {
        findings = layout(&text, &written);
    }
    if findings.is_empty() { Ok(lock) } else { Err(Stale { path: lockfile.to_owned(), findings }.into()) }
}

/// What the lock says of Go modules follows from the recipe's go.mod and go.sum.
fn check_go(project: &Path, lock: &Lock, build: GoBuild<'_>, findings: &mut String) -> Result<()> {
    let GoBuild { name, build: table, go: written } = build;
    let mut say = |fact: String| {
        let _ = writeln!(findings, "! build {name}: {fact}");
    };
    if go::resolve::files(project, build)? != written.files {
        say(format!("{RECIPES}/{}/go.mod or go.sum was changed", table.recipe));
        return Ok(());
    }
    let path = project.join(RECIPES).join(&table.recipe).join("go.sum");
    let sums = if path.exists() { fs_err::read_to_string(path)? } else { String::new() };
    let lines: BTreeSet<&str> = sums.lines().collect();
    for module in go::modules(lock, name) {
        let Module { path, version, sum, go_mod, .. } = module;
        let content = sum.as_ref().map(|sum| format!("{path} {version} {sum}"));
        let go_mod = go_mod.as_ref().map(|sum| format!("{path} {version}/go.mod {sum}"));
        for line in content.into_iter().chain(go_mod).filter(|line| !lines.contains(line.as_str())) {
            say(format!("{RECIPES}/{}/go.sum has no line `{line}`", table.recipe));
        }
    }
    Ok(())
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
