//! Raw disks of the roles: secret-free, in the store, with the hash by which anyone can compare them.

use std::path::PathBuf;

use fs_err as fs;

use super::base::Base;
use super::roots::Tools;
use super::tree::RoleTree;
use crate::disk::{self, Spec};
use crate::error::Result;
use crate::lock::format::{Arch, Sha256Hex};
use crate::parallel;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::store::{StepKey, Store};
use crate::tree::merge;

/// Raised when what this stage makes of the same tree changes.
const VERSION: u32 = 1;

/// Only the kernel's errors on the console, which is firstboot's and the login prompt's; and no automatic mount of the
/// ESP, which nothing reads after the boot loader.
const CMDLINE: &str = "loglevel=4 systemd.gpt_auto=0";

const RAW: &str = "disk.raw";
const CONTENT: &str = "content_sha256";

/// A role's disk without identities.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The role.
    pub role: String,
    /// Its key.
    pub key: StepKey,
    /// The raw disk.
    pub raw: PathBuf,
    /// SHA-256 of the raw disk, whose identity partition is zero.
    pub content_sha256: Sha256Hex,
}

/// Makes the disk of a tree, or finds it in the store.
///
/// # Errors
/// When a tool fails.
fn make(
    store: &Store,
    tools: &Tools,
    base: &Base,
    tree: &RoleTree,
    (arch, epoch): (Arch, i64),
    progress: &Progress,
) -> Result<Disk> {
    let parts = (&tools.key, &base.key, tree.overlay.digest()?, &tree.removed, tree.disk_mib, arch, epoch);
    let key = StepKey::new("disk", VERSION, &parts);
    let folder = store.step(&key, |folder| {
        let task = progress.task(&format!("making the disk of `{}`", tree.role));
        let mut sandbox = Sandbox::new(&tools.path);
        let mut grub = disk::GRUB.to_owned();
        if let Some(foreign) = &tools.foreign {
            const FOREIGN: &str = "/kiln/grub";
            sandbox = sandbox.show(&foreign.grub, FOREIGN);
            grub.insert_str(0, FOREIGN);
        }
        let spec = Spec {
            arch,
            grub,
            size: tree.disk_mib << 20,
            key: key.bytes(),
            epoch: epoch.unsigned_abs(),
            cmdline: CMDLINE.to_owned(),
        };
        let raw = folder.join(RAW);
        let removed: Vec<&str> = tree.removed.iter().map(String::as_str).collect();
        let (reader, writer) = std::io::pipe()?;
        let tar = fs::File::open(&base.tar)?;
        std::thread::scope(|scope| {
            let merging =
                scope.spawn(|| merge(tar, &tree.overlay, &removed, epoch, std::io::BufWriter::new(writer)));
            let made = disk::build(&sandbox, reader, &spec, &raw);
            let merged = merging.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // A reader that gave up breaks the pipe: its own error is the one that tells.
            made.map_err(crate::error::Error::from)?;
            Ok::<_, crate::error::Error>(merged?)
        })?;
        fs::write(folder.join(CONTENT), hex::encode(disk::content_sha256(&raw)?))?;
        task.finish();
        Ok(())
    })?;
    let content = fs::read_to_string(folder.join(CONTENT))?;
    let content_sha256 = content.parse().map_err(std::io::Error::other)?;
    Ok(Disk { role: tree.role.clone(), key, raw: folder.join(RAW), content_sha256 })
}

/// Makes the disks of every role.
///
/// # Errors
/// When a tree cannot be merged or a tool fails.
pub fn all(
    plan: &Plan,
    store: &Store,
    tools: &Tools,
    base: &Base,
    trees: &[RoleTree],
    progress: &Progress,
) -> Result<Vec<Disk>> {
    let input = (plan.arch, plan.lock.epoch);
    parallel::map(trees, |tree| make(store, tools, base, tree, input, progress)).into_iter().collect()
}
