//! Base root file systems: each a bootable Debian, made once from a set of locked packages and shared by every role that asks
//! for the same ones.
//!
//! mmdebstrap installs from a flat repository of exactly the locked packages, so apt can choose nothing else. It
//! does not know what roles lay over the result.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::deb;
use crate::deb::roots::{self, Tools};
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::ground::repro::sha256_hex;
use crate::lockfile::Lock;
use crate::plan::Plan;
use crate::role::Role;
use crate::role::packages::{self, BASE};
use crate::sandbox::Sandbox;
use crate::stage::fetched::Fetched;
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same packages changes.
const VERSION: u32 = 2;

/// What prepares the empty root file system, in the project's folder: mmdebstrap's setup hook.
const HOOK: &str = "images/base/setup-hook";

/// A base root file system.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its key.
    pub key: StepKey,
    /// A tar of every file, sorted, with owners and device nodes.
    pub tar: PathBuf,
}

/// What a base root file system is made of.
#[derive(Debug, Clone)]
pub struct Packages<'a> {
    /// The lock.
    pub lock: &'a Lock,
    /// The roots of the lock that hold the packages: `base`, and those of a role's other recipes.
    pub roots: BTreeSet<String>,
    /// Architecture of the packages.
    pub arch: Arch,
}

impl<'a> Packages<'a> {
    /// Those of the recipe `base` alone.
    #[must_use]
    pub fn base(lock: &'a Lock, arch: Arch) -> Self {
        Self { lock, roots: BTreeSet::from([BASE.to_owned()]), arch }
    }

    /// Those that a plan's role asks for.
    #[must_use]
    pub fn of(plan: &'a Plan, role: &Role) -> Self {
        Self { lock: &plan.lock, roots: role.package_roots(), arch: plan.arch }
    }

    /// What was asked for: first by the recipe `base`.
    fn request(&self) -> Vec<String> {
        let mut request: Vec<String> = Vec::new();
        for package in self.roots.iter().filter_map(|root| self.lock.root.get(root)) {
            for package in package.request_for(self.arch) {
                if !request.contains(&package) {
                    request.push(package);
                }
            }
        }
        request
    }

    /// The suite of all; the lock was checked, so it has the root.
    fn suite(&self) -> &'a str {
        self.lock.root.get(BASE).map(|root| root.suite.as_str()).unwrap_or_default()
    }

    /// The key of what is made of them; `tools` is that of what makes it.
    ///
    /// # Errors
    /// When the setup hook cannot be read.
    pub fn key(&self, project: &Path, tools: &StepKey) -> Result<StepKey> {
        let hashes = roots::hashes(self.lock.packages_of(&self.roots, self.arch));
        let hook = sha256_hex(fs::read(project.join(HOOK))?);
        let description = (tools, self.lock.epoch, self.suite(), self.request(), hashes, hook);
        Ok(StepKey::new("base", VERSION, &description))
    }
}

/// Makes the base root file system of each of a plan's roles; roles with the same packages have the same one.
///
/// # Errors
/// As [`make`].
pub fn all(Fetched { plan, store, progress }: Fetched<'_>, tools: &Tools) -> Result<Vec<Base>> {
    let of = |role| make(&plan.project, store, &Packages::of(plan, role), tools, progress);
    plan.roles.iter().map(of).collect()
}

/// Makes a base root file system.
///
/// # Errors
/// When mmdebstrap fails; its words are in the error.
pub fn make(
    project: &Path,
    store: &Store,
    wanted: &Packages<'_>,
    tools: &Tools,
    progress: &Progress,
) -> Result<Base> {
    let key = wanted.key(project, &tools.key)?;
    let (suite, request) = (wanted.suite(), wanted.request());
    let &Packages { lock, arch, ref roots } = wanted;
    let folder = store.step(&key, |folder| {
        let with: Vec<&str> = roots.iter().filter_map(|root| packages::of_part(root)).collect();
        let with =
            if with.is_empty() { String::new() } else { format!(" with packages of {}", with.join(", ")) };
        let task = progress.task(&format!("installing the base root file system{with}"));
        let repository = folder.join("repository");
        fs::create_dir(&repository)?;
        let mut index = String::new();
        let mut sandbox = Sandbox::new(&tools.path).lend(folder, "/kiln/out");
        for package in lock.packages_of(roots, arch) {
            let name = format!("{}_{}_{arch}.deb", package.name, package.version.replace(':', "%3a"));
            let path = store.file(&package.sha256);
            let _ = write!(index, "{}", deb::control(&path)?.trim_end());
            let _ =
                write!(index, "\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n", package.size, package.sha256);
            sandbox = sandbox.show(&path, format!("/kiln/repository/{name}"));
        }
        // mmdebstrap selects by the suite's name, which apt takes from here.
        let entry = format!("{} {} Packages", sha256_hex(&index), index.len());
        let release = format!("Suite: {suite}\nCodename: {suite}\nSHA256:\n {entry}\n");
        for (file, text) in [("Packages", index), ("Release", release)] {
            let path = repository.join(file);
            fs::write(&path, text)?;
            sandbox = sandbox.show(&path, format!("/kiln/repository/{file}"));
        }
        let work = folder.join("work");
        fs::create_dir(&work)?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&work, std::fs::Permissions::from_mode(0o755))?;
        if let Some(foreign) = &tools.foreign {
            sandbox = sandbox.emulate(arch, &foreign.emulator);
        }
        let sandbox = sandbox
            .show(&project.join(HOOK), "/kiln/setup-hook")
            .lend(&work, "/kiln/work")
            .env("TMPDIR", "/kiln/work")
            .env("SOURCE_DATE_EPOCH", lock.epoch.to_string());
        // mmdebstrap's default: no recommended packages. Dpkg's own safety against power cuts only costs time here.
        sandbox.run([
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            "--format=tar",
            "--dpkgopt=force-unsafe-io",
            // It asks a program that the tools lack whether the packages' programs can run here; they can.
            "--skip=check/qemu",
            "--aptopt=APT::Sandbox::User \"root\"",
            "--aptopt=Acquire::Languages \"none\"",
            // By `sh`: a checkout may have lost its execute bit.
            "--setup-hook=sh /kiln/setup-hook \"$1\"",
            &format!("--architectures={arch}"),
            &format!("--include={}", request.join(",")),
            suite,
            "/kiln/out/base.tar",
            "deb [trusted=yes] copy:/kiln/repository ./",
        ])?;
        for leftover in [&repository, &work] {
            fs::remove_dir_all(leftover)?;
        }
        task.finish();
        Ok(())
    })?;
    Ok(Base { key, tar: folder.join("base.tar") })
}
