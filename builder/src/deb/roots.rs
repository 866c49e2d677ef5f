//! Package roots: a locked closure of binary packages, unpacked, in which the sandbox runs programs; and which of them
//! make the images of an architecture.

use std::path::PathBuf;

use crate::deb;
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lockfile::Lock;
use crate::lockfile::format::Deb;
use crate::store::{StepKey, Store};

/// The root of the lock that holds `up`'s QEMU for machines like this one.
pub const QEMU: &str = "qemu";

/// The root of the lock that holds the tools of a build.
pub const TOOLS: &str = "tools";

/// The root of the lock with what runs programs of other architectures.
pub const EMULATOR: &str = "emulator";

/// The root of the lock with the parts of GRUB for other architectures: data, whatever its packages are for.
pub const GRUB: &str = "grub";

/// The root of the lock that holds `up`'s QEMU for machines of an architecture.
#[must_use]
pub fn qemu(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => QEMU,
        Arch::Arm64 => "qemu-arm64",
    }
}

/// Raised when what this stage makes of the same packages changes.
const VERSION: u32 = 1;

/// An unpacked root.
#[derive(Debug, Clone)]
pub struct Root {
    /// Its key, part of the keys of what is made in it.
    pub key: StepKey,
    /// Its folder.
    pub path: PathBuf,
}

/// The hashes of packages, sorted: what a step that uses them depends on.
#[must_use]
pub fn hashes<'a>(debs: impl Iterator<Item = &'a Deb>) -> Vec<&'a str> {
    let mut hashes: Vec<&str> = debs.map(|deb| deb.sha256.as_str()).collect();
    hashes.sort_unstable();
    hashes
}

/// The key of a root.
#[must_use]
pub fn key(lock: &Lock, name: &str, arch: Arch) -> StepKey {
    StepKey::new("root", VERSION, &(name, hashes(lock.packages(name, arch))))
}

/// Unpacks a root whose packages are in the store.
///
/// # Errors
/// When a package is damaged or the store cannot be written.
pub fn unpack(store: &Store, lock: &Lock, name: &str, arch: Arch, progress: &Progress) -> Result<Root> {
    let key = key(lock, name, arch);
    let path = store.step(&key, |folder| {
        let task = progress.task(&format!("unpacking package root `{name}`"));
        for package in lock.packages(name, arch) {
            deb::unpack(&store.file(&package.sha256), folder)?;
        }
        deb::finish_root(folder)?;
        task.finish();
        Ok(())
    })?;
    Ok(Root { key, path })
}

/// What makes the images of an architecture.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Part of the keys of what it makes.
    pub key: StepKey,
    /// The root that programs run in.
    pub path: PathBuf,
    /// What images of another architecture than this machine's take besides.
    pub foreign: Option<Foreign>,
}

/// What images of another architecture take.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The root with the emulator that runs the programs in them.
    pub emulator: PathBuf,
    /// The root with GRUB's parts for them.
    pub grub: PathBuf,
}

/// The key of what makes the images of an architecture.
#[must_use]
pub fn tools_key(lock: &Lock, arch: Arch) -> StepKey {
    let tools = key(lock, TOOLS, Arch::HOST);
    if arch == Arch::HOST {
        return tools;
    }
    StepKey::new("tools", VERSION, &(tools, key(lock, EMULATOR, Arch::HOST), key(lock, GRUB, arch)))
}

/// Unpacks what makes the images of an architecture.
///
/// # Errors
/// As [`unpack`].
pub fn tools(store: &Store, lock: &Lock, arch: Arch, progress: &Progress) -> Result<Tools> {
    let path = unpack(store, lock, TOOLS, Arch::HOST, progress)?.path;
    let foreign = if arch == Arch::HOST {
        None
    } else {
        Some(Foreign {
            emulator: unpack(store, lock, EMULATOR, Arch::HOST, progress)?.path,
            grub: unpack(store, lock, GRUB, arch, progress)?.path,
        })
    };
    Ok(Tools { key: tools_key(lock, arch), path, foreign })
}
