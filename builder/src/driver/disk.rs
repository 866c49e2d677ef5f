//! A node's own files: the disk that lies over its role's image, and UEFI's settings. Both are made once and stay
//! until `down --delete`. They do not own whether the image may have changed below a disk.

use std::io::Read;
use std::path::Path;

use fs_err as fs;

use super::error::DriverError;
use super::{Folders, qemu};
use crate::lock::format::Arch;
use crate::report::cluster::NodeJson;

/// Makes the node's disk when it has none.
pub(super) fn ensure(folders: &Folders, node: &NodeJson, qemu_root: &Path) -> Result<(), DriverError> {
    let folder = folders.node(&node.name);
    if folder.join(qemu::DISK).exists() {
        return Ok(());
    }
    let size = of(node, virtual_size(&folders.results.join(&node.image))?)?;
    // Relative, so that the disk works for the host's tools as well.
    let image = format!("../../{}", node.image.display());
    let unfinished = format!("{}.new", qemu::DISK);
    let mut argv = vec!["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &image, &unfinished];
    let size = size.to_string();
    argv.push(&size);
    folders.sandbox(qemu_root).cwd(format!("{}/{}", super::RUN_INSIDE, node.name)).run(argv)?;
    Ok(fs::rename(folder.join(&unfinished), folder.join(qemu::DISK))?)
}

/// Makes UEFI's settings when the node has none.
pub(super) fn ensure_firmware(
    folders: &Folders,
    arch: Arch,
    node: &NodeJson,
    root: &Path,
) -> Result<(), DriverError> {
    let settings = folders.node(&node.name).join(qemu::FIRMWARE_VARIABLES);
    if settings.exists() {
        return Ok(());
    }
    let unfinished = settings.with_extension("new");
    fs::copy(root.join(qemu::Board::of(arch).firmware_template), &unfinished)?;
    Ok(fs::rename(unfinished, settings)?)
}

/// Bytes of a node's disk over an image of that size.
pub(super) fn of(node: &NodeJson, image: u64) -> Result<u64, DriverError> {
    let image_mib = image.div_ceil(1 << 20);
    match node.disk_mib {
        None => Ok(image),
        Some(disk_mib) if disk_mib >= image_mib => Ok(disk_mib << 20),
        Some(disk_mib) => Err(DriverError::DiskTooSmall { node: node.name.clone(), disk_mib, image_mib }),
    }
}

/// The size of the disk in a qcow2 image: big-endian, at byte 24 of its header ("qcow2" in QEMU's interop documents).
pub(super) fn virtual_size(image: &Path) -> Result<u64, DriverError> {
    let mut header = [0; 32];
    fs::File::open(image)?.read_exact(&mut header)?;
    if !header.starts_with(b"QFI\xfb") {
        let message = format!("{}: not a qcow2 image", image.display());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message).into());
    }
    let mut size = [0; 8];
    size.copy_from_slice(&header[24..]);
    Ok(u64::from_be_bytes(size))
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::virtual_size;

    #[test]
    fn the_header_tells_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("x.qcow2");
        let mut header = b"QFI\xfb".to_vec();
        header.resize(24, 0);
        header.extend((4u64 << 30).to_be_bytes());
        fs::write(&image, &header).unwrap();
        assert_eq!(virtual_size(&image).unwrap(), 4 << 30);
        fs::write(&image, vec![0; 64]).unwrap();
        assert!(virtual_size(&image).unwrap_err().to_string().ends_with("x.qcow2: not a qcow2 image"));
    }
}
