//! The base root file system: a bootable Debian, made once from locked packages and shared by every role.
//!
//! mmdebstrap installs from a flat repository of exactly the locked packages, so apt can choose nothing else. It
//! does not know roles; each lays its own files over the result.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::roots::{self, Tools};
use crate::deb;
use crate::error::Result;
use crate::lock::format::{Arch, Lock};
use crate::plan::BASE;
use crate::progress::Progress;
use crate::repro::sha256_hex;
use crate::sandbox::Sandbox;
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same packages changes.
const VERSION: u32 = 2;

/// What prepares the empty root file system, in the project's folder: mmdebstrap's setup hook.
const HOOK: &str = "images/base/setup-hook";

/// The base root file system.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its key.
    pub key: StepKey,
    /// A tar of every file, sorted, with owners and device nodes.
    pub tar: PathBuf,
}

/// The key of the base root file system; `tools` is that of what makes it.
///
/// # Errors
/// When the setup hook cannot be read.
pub fn key(project: &Path, lock: &Lock, tools: &StepKey, arch: Arch) -> Result<StepKey> {
    let (suite, request) = names(lock, arch);
    let hook = sha256_hex(fs::read(project.join(HOOK))?);
    let description = (tools, lock.epoch, suite, request, roots::hashes(lock.packages(BASE, arch)), hook);
    Ok(StepKey::new("base", VERSION, &description))
}

/// The suite and what was asked for; the lock was checked, so it has the root.
fn names(lock: &Lock, arch: Arch) -> (&str, Vec<String>) {
    lock.root.get(BASE).map(|root| (root.suite.as_str(), root.request_for(arch))).unwrap_or_default()
}

/// Makes the base root file system.
///
/// # Errors
/// When mmdebstrap fails; its words are in the error.
pub fn make(
    project: &Path,
    store: &Store,
    lock: &Lock,
    tools: &Tools,
    arch: Arch,
    progress: &Progress,
) -> Result<Base> {
    let key = key(project, lock, &tools.key, arch)?;
    let (suite, request) = names(lock, arch);
    let folder = store.step(&key, |folder| {
        let task = progress.task("installing the base root file system");
        let repository = folder.join("repository");
        fs::create_dir(&repository)?;
        let mut index = String::new();
        let mut sandbox = Sandbox::new(&tools.path).lend(folder, "/kiln/out");
        for package in lock.packages(BASE, arch) {
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
