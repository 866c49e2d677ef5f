//! Files that are there whole or not at all, folders for their owner alone, and the end of a tree whatever its modes are.

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use fs_err as fs;

/// Writes a file of mode 0600 in one step.
///
/// # Errors
/// When the folder cannot be written.
pub fn private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, 0o600)
}

/// Writes a file that everyone may read in one step.
///
/// # Errors
/// When the folder cannot be written.
pub fn public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, 0o644)
}

/// An unchanged file stays as it is; a changed one is replaced by rename.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::io::Write;
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new"));
    let _ = fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    fs::rename(temporary, path)
}

/// Makes a folder for its owner alone: disks and consoles hold secrets.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| io::Error::new(error.kind(), format!("making `{}`: {error}", folder.display())))
}

/// Removes a file or folder, also one whose folders are not writable; nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        remove_tree(&entry?.path())?;
    }
    fs::remove_dir(path)
}
