//! The operations that change the machine, behind one trait: what a power cut or a full disk can come between. The
//! real ones are here, tests wrap them and stop at any. They decide nothing.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::{FileExt, OpenOptionsExt};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Gid, Uid, chown, gethostname, sethostname, syncfs};

use crate::image::Owner;

/// Every operation that changes state. Each can be repeated after it was cut off.
pub trait Ops {
    /// Makes a new folder, complete with its attributes or not at all, by way of the folder `temp` beside it.
    ///
    /// # Errors
    /// The kernel's, with the path.
    fn make_dir(&mut self, path: &Path, temp: &Path, mode: u32, owner: Owner) -> io::Result<()>;

    /// Writes a whole file with its attributes, replacing one that is left over from an earlier attempt.
    ///
    /// # Errors
    /// The kernel's, with the path.
    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()>;

    /// Makes everything durable that was written to the file system that holds `path`.
    ///
    /// # Errors
    /// The kernel's, with the path.
    fn sync(&mut self, path: &Path) -> io::Result<()>;

    /// Renames a file within its folder.
    ///
    /// # Errors
    /// The kernel's, with both paths.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The kernel's, with the path.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Sets the host name of the running system.
    ///
    /// # Errors
    /// The kernel's.
    fn set_hostname(&mut self, name: &str) -> io::Result<()>;

    /// Overwrites `len` bytes of a device from `offset` on with zeros.
    ///
    /// # Errors
    /// The kernel's, with the path.
    fn zero(&mut self, device: &Path, offset: u64, len: u64) -> io::Result<()>;

    /// Makes the zeros durable, and gives the space back to the host where the device can do that.
    ///
    /// # Errors
    /// The kernel's, with the path.
    fn discard(&mut self, device: &Path, len: u64) -> io::Result<()>;
}

/// The real ones.
#[derive(Debug, Default)]
pub struct Real;

impl Ops for Real {
    fn make_dir(&mut self, path: &Path, temp: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        match fs::create_dir(temp) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        attributes(temp, mode, owner)?;
        fs::rename(temp, path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Nobody else may read it while it is written, whatever its mode is in the end.
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        attributes(path, mode, owner)
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        syncfs(fs::File::open(path)?.file()).map_err(|errno| at(path, "making durable", errno))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn set_hostname(&mut self, name: &str) -> io::Result<()> {
        if gethostname().is_ok_and(|now| now == *name) {
            return Ok(());
        }
        Ok(sethostname(name)?)
    }

    fn zero(&mut self, device: &Path, offset: u64, len: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(device)?;
        let zeros = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        file.write_all_at(&zeros, offset)
    }

    fn discard(&mut self, device: &Path, len: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(device)?;
        file.sync_all()?;
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        // The zeros are what counts; not every device can give space back.
        let _ = fallocate(file.file(), hole, 0, i64::try_from(len).map_err(io::Error::other)?);
        Ok(())
    }
}

fn attributes(path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
    chown(path, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
        .map_err(|errno| at(path, "changing the owner of", errno))?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn at(path: &Path, doing: &str, errno: Errno) -> io::Error {
    let kind = io::Error::from(errno).kind();
    io::Error::new(kind, format!("{doing} `{}`: {}", path.display(), errno.desc()))
}
