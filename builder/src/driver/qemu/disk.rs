//! A node's own files: the disk that lies over an image, and UEFI's settings. Both are made once and stay until
//! `down --delete`; the image below a disk stays as long as it does, whatever is built meanwhile.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::disk::{Format, backing_file, virtual_size};
use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::machines::disk_size;
use crate::driver::names::DATA_DISK;
use crate::driver::qemu::machine::Board;
use crate::driver::qemu::places::{DISK, FIRMWARE_VARIABLES, RUN_INSIDE};
use crate::ground::arch::Arch;
use crate::ground::hash::Sha256Hex;
use crate::results::cluster::{ImageJson, NodeJson};
use crate::results::publish::image_path;

/// Makes the node's disk, over an image of the results, when it has none.
pub(super) fn ensure(
    folders: &Folders,
    node: &NodeJson,
    image: &ImageJson,
    qemu_root: &Path,
) -> Result<(), DriverError> {
    let folder = folders.node(&node.name);
    if folder.join(DISK).exists() {
        return Ok(());
    }
    let image = image_path(&image.sha256, Format::Qcow2);
    let size = disk_size(node, virtual_size(&folders.results.join(&image))?)?.to_string();
    // Relative, so that the disk works for the host's tools as well.
    let image = Path::new("../..").join(image).display().to_string();
    let unfinished = format!("{}.new", DISK);
    let argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &image, &unfinished, &size];
    folders.sandbox(qemu_root).cwd(format!("{}/{}", RUN_INSIDE, node.name)).run(argv)?;
    Ok(fs::rename(folder.join(&unfinished), folder.join(DISK))?)
}

/// Makes the node's data disk when it has to have one and has none. It is empty: the node formats it.
pub(super) fn ensure_data(folders: &Folders, node: &NodeJson, qemu_root: &Path) -> Result<(), DriverError> {
    let Some(mib) = node.data_disk_mib else { return Ok(()) };
    let folder = folders.node(&node.name);
    if folder.join(DATA_DISK).exists() {
        return Ok(());
    }
    let (unfinished, size) = (format!("{}.new", DATA_DISK), format!("{mib}M"));
    let argv = ["qemu-img", "create", "-q", "-f", "qcow2", &unfinished, &size];
    folders.sandbox(qemu_root).cwd(format!("{}/{}", RUN_INSIDE, node.name)).run(argv)?;
    Ok(fs::rename(folder.join(&unfinished), folder.join(DATA_DISK))?)
}

/// Content of the image that a node's disk lies over, as the name of that says; none when it has no disk.
pub(super) fn below(folders: &Folders, node: &str) -> Result<Option<Sha256Hex>, DriverError> {
    let folder = folders.node(node);
    let disk = folder.join(DISK);
    if !disk.exists() {
        return Ok(None);
    }
    let name = backing_file(&disk)?.unwrap_or_default();
    let stem = name.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let lost = || DriverError::NoImageBelow {
        results: folders.arguments(),
        node: node.to_owned(),
        image: name.file_name().map_or_else(PathBuf::new, PathBuf::from),
    };
    let sha256: Sha256Hex = stem.parse().map_err(|_| lost())?;
    match folders.results.join(image_path(&sha256, Format::Qcow2)).exists() {
        true => Ok(Some(sha256)),
        false => Err(lost()),
    }
}

/// Makes UEFI's settings when the node has none.
pub(super) fn ensure_firmware(
    folders: &Folders,
    arch: Arch,
    node: &NodeJson,
    root: &Path,
) -> Result<(), DriverError> {
    let settings = folders.node(&node.name).join(FIRMWARE_VARIABLES);
    if settings.exists() {
        return Ok(());
    }
    let unfinished = settings.with_extension("new");
    fs::copy(root.join(Board::of(arch).firmware_template), &unfinished)?;
    Ok(fs::rename(unfinished, settings)?)
}
