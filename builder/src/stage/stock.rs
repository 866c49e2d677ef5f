//! Stock disks: a role's base, programs, folders and links, without the files that a cluster's values or the recipes
//! write. They are in the store, raw and compressed, and most of every image is theirs: so an image for another cluster,
//! or with another value, takes neither a new file system nor a new compression.

use std::path::Path;

use fs_err as fs;

use crate::deb::roots::Tools;
use crate::disk::{self, Spec, changes};
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::parallel;
use crate::ground::progress::Progress;
use crate::ground::tree::{Tree, merge};
use crate::sandbox::Sandbox;
use crate::stage::base::Base;
use crate::stage::fetched::Fetched;
use crate::stage::tree::RoleTree;
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same tree changes.
const VERSION: u32 = 1;

/// Only the kernel's errors on the console, which is firstboot's and the login prompt's; and no automatic mount of the
/// ESP, which nothing reads after the boot loader.
const CMDLINE: &str = "loglevel=4 systemd.gpt_auto=0";

/// What the kernel of a role's images is told.
fn cmdline(tree: &RoleTree) -> String {
    format!("{CMDLINE}{}", tree.kernel)
}

/// The stock disk of a role.
#[derive(Debug, Clone)]
pub struct Stock {
    /// Its key.
    pub key: StepKey,
    /// Its files.
    pub disk: disk::Stock,
}

/// Makes the stock disks of every role, of its base and its tree.
///
/// # Errors
/// When a tree cannot be merged or a tool fails.
pub fn all(
    Fetched { plan, store, progress }: Fetched<'_>,
    tools: &Tools,
    bases: &[Base],
    trees: &[RoleTree],
) -> Result<Vec<Stock>> {
    let input = (plan.arch, plan.lock.epoch);
    let roles: Vec<(&Base, &RoleTree)> = bases.iter().zip(trees).collect();
    parallel::map(&roles, |(base, tree)| make(store, tools, base, tree, input, progress))
        .into_iter()
        .collect()
}

/// The key of a role's stock disk: no file that joins it later, nor its mode, is in it.
///
/// # Errors
/// When a file of the overlay cannot be read.
pub fn key(tools: &StepKey, base: &StepKey, tree: &RoleTree, (arch, epoch): (Arch, i64)) -> Result<StepKey> {
    let overlay = tree.overlay.without_bytes().digest()?;
    let parts = (tools, base, overlay, &tree.removed, tree.disk_mib, cmdline(tree), arch, epoch);
    Ok(StepKey::new("stock", VERSION, &parts))
}

fn make(
    store: &Store,
    tools: &Tools,
    base: &Base,
    tree: &RoleTree,
    (arch, epoch): (Arch, i64),
    progress: &Progress,
) -> Result<Stock> {
    let key = key(&tools.key, &base.key, tree, (arch, epoch))?;
    let in_folder = |folder: &Path| disk::Stock {
        raw: folder.join("disk.raw"),
        skeleton: folder.join("skeleton.raw"),
        qcow2: folder.join("disk.qcow2"),
    };
    let folder = store.step(&key, |folder| {
        let stock = in_folder(folder);
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
            cmdline: cmdline(tree),
        };
        raw(&sandbox, base, &tree.overlay.without_bytes(), &tree.removed, &spec, &stock.raw)?;
        changes::skeleton(&sandbox, &stock.raw, &stock.skeleton)?;
        task.finish();
        let task = progress.task(&format!("compressing the disk of `{}`", tree.role));
        disk::to_qcow2(&sandbox, &stock.raw, &stock.qcow2)?;
        task.finish();
        Ok(())
    })?;
    Ok(Stock { disk: in_folder(&folder), key })
}

/// The raw disk, of the base with the overlay over it.
fn raw(
    sandbox: &Sandbox,
    base: &Base,
    overlay: &Tree,
    removed: &[String],
    spec: &Spec,
    out: &Path,
) -> Result<()> {
    let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
    let (reader, writer) = std::io::pipe()?;
    let tar = fs::File::open(&base.tar)?;
    let epoch = spec.epoch.cast_signed();
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| merge(tar, overlay, &removed, epoch, std::io::BufWriter::new(writer)));
        let made = disk::build(sandbox, reader, spec, out);
        let merged = merging.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A reader that gave up breaks the pipe: its own error is the one that tells.
        made.map_err(crate::ground::error::Error::from)?;
        Ok(merged?)
    })
}
