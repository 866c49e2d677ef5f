//! Disks of the roles: what the files of the overlay change on the stock disk, in the store without secrets, and the
//! hash by which anyone can compare the whole.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::deb::roots::Tools;
use crate::disk::changes::{self, Changes};
use crate::disk::content_sha256;
use crate::disk::file::DiskFile;
use crate::ground::error::Result;
use crate::ground::hash::Sha256Hex;
use crate::ground::parallel;
use crate::ground::progress::Progress;
use crate::sandbox::Sandbox;
use crate::stage::fetched::Fetched;
use crate::stage::stock::Stock;
use crate::stage::tree::RoleTree;
use crate::store::{StepKey, Store};

/// Raised when what this stage makes of the same files changes.
const VERSION: u32 = 2;

/// Raised when the hash of the same disk changes.
const CONTENT_VERSION: u32 = 2;

/// A role's disk without identities.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The role.
    pub role: String,
    /// Its key.
    pub key: StepKey,
    /// What it is in the main.
    pub stock: Stock,
    /// The folder with what differs, see [`changes`].
    folder: PathBuf,
}

impl Disk {
    /// What differs from the stock disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn changes(&self) -> std::io::Result<Changes> {
        changes::load(&self.folder)
    }

    /// SHA-256 of the raw disk, whose identity partition is zero; from the store, or made.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn content_sha256(&self, store: &Store) -> Result<Sha256Hex> {
        let folder = store.step(&content_key(&self.key), |folder| {
            let content = content_sha256(&DiskFile::open(&self.stock.disk.raw)?, &self.changes()?)?;
            Ok(fs::write(folder.join(CONTENT), hex::encode(content))?)
        })?;
        read_content(&folder)
    }
}

/// The file of a disk's hash.
const CONTENT: &str = "sha256";

fn read_content(folder: &Path) -> Result<Sha256Hex> {
    let content = fs::read_to_string(folder.join(CONTENT))?;
    Ok(content.parse().map_err(std::io::Error::other)?)
}

/// The hash of a disk that was made before.
///
/// # Errors
/// When it cannot be read.
pub fn known_content(store: &Store, disk: &StepKey) -> Result<Option<Sha256Hex>> {
    store.made(&content_key(disk)).map(|folder| read_content(&folder)).transpose()
}

/// The key of a role's disk.
///
/// # Errors
/// When a file of the overlay cannot be read.
pub fn key(stock: &StepKey, tree: &RoleTree) -> Result<StepKey> {
    Ok(StepKey::new("disk", VERSION, &(stock, tree.overlay.digest()?)))
}

/// The key of a disk's hash.
#[must_use]
pub fn content_key(disk: &StepKey) -> StepKey {
    StepKey::new("content", CONTENT_VERSION, disk)
}

/// Makes the disks of every role.
///
/// # Errors
/// When a file does not fit or a tool fails.
pub fn all(
    Fetched { plan, store, progress }: Fetched<'_>,
    tools: &Tools,
    stocks: Vec<Stock>,
    trees: &[RoleTree],
) -> Result<Vec<Disk>> {
    let parts: Vec<(&RoleTree, Stock)> = trees.iter().zip(stocks).collect();
    let make =
        |(tree, stock): &(&RoleTree, Stock)| make(store, tools, tree, stock, plan.lock.epoch, progress);
    parallel::map(&parts, make).into_iter().collect()
}

fn make(
    store: &Store,
    tools: &Tools,
    tree: &RoleTree,
    stock: &Stock,
    epoch: i64,
    progress: &Progress,
) -> Result<Disk> {
    let key = key(&stock.key, tree)?;
    let folder = store.step(&key, |folder| {
        let task = progress.task(&format!("putting the files of `{}`", tree.role));
        let sandbox = Sandbox::new(&tools.path);
        let changed = changes::changes(&sandbox, &stock.disk, tree.overlay.bytes(), epoch, folder)?;
        changes::save(&changed, folder)?;
        task.finish();
        Ok(())
    })?;
    Ok(Disk { role: tree.role.clone(), key, stock: stock.clone(), folder })
}
