//! A part of an image as it grows in the store's partial file until its digest is the one that was wanted.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::ground::hash::HashWriter;
use crate::oci::layout::Part;
use crate::oci::registry::Attempt;
use crate::store::Store;

/// The most bytes of a document; image-spec's own limit for manifests.
const LARGEST_DOCUMENT: u64 = 4 << 20;

/// The partial file of a part, and the hash of what is in it.
pub(super) struct Growing {
    path: PathBuf,
    file: fs::File,
    sha256: Sha256,
    have: u64,
    /// The most bytes that it may have.
    limit: u64,
    /// Whether some of it is from an earlier attempt.
    resumed: bool,
}

impl Growing {
    /// Goes on with what an earlier attempt left.
    pub(super) fn open(store: &Store, part: &Part) -> io::Result<Self> {
        let path = store.partial(part.digest.sha256());
        let mut file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut sha256 = Sha256::new();
        let have = io::copy(&mut file, &mut HashWriter(&mut sha256))?;
        let limit = part.size.unwrap_or(LARGEST_DOCUMENT);
        let mut growing = Self { path, file, sha256, have, limit, resumed: have > 0 };
        if have > limit || part.document {
            growing.restart()?;
        }
        Ok(growing)
    }

    /// The bytes that are there.
    pub(super) fn have(&self) -> u64 {
        self.have
    }

    fn restart(&mut self) -> io::Result<()> {
        (self.sha256, self.have, self.resumed) = (Sha256::new(), 0, false);
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(|_| ())
    }

    /// Adds a piece, which begins at a byte; a piece from the start replaces what is there.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at == 0 && self.have > 0 {
            self.restart()?;
        }
        self.sha256.update(bytes);
        self.have += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Takes all of a file of this machine.
    pub(super) fn copy(&mut self, path: &Path) -> Result<(), Attempt> {
        let there = |error: io::Error| Attempt::Later(format!("{}: {error}", path.display()));
        let mut from = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Attempt::NotThere),
            other => other.map_err(there)?,
        };
        self.restart()?;
        let mut buffer = vec![0; 1 << 16];
        // One byte too many is enough to know that it is wrong.
        while self.have <= self.limit {
            match from.read(&mut buffer).map_err(there)? {
                0 => break,
                read => self.put(self.have, &buffer[..read])?,
            }
        }
        Ok(())
    }

    /// Compares it with the digest; what is wrong is removed.
    pub(super) fn finish(self, part: &Part) -> Result<(), Attempt> {
        let found = hex::encode(self.sha256.finalize());
        if found == part.digest.sha256().as_str() {
            return Ok(self.file.sync_all()?);
        }
        fs::remove_file(&self.path)?;
        if self.resumed {
            // The fault may be in what an earlier attempt left: once more from the start.
            return Err(Attempt::Later("what came does not go with what was there".to_owned()));
        }
        let (have, limit) = (self.have, self.limit);
        Err(Attempt::Wrong(match part.size {
            _ if have > limit => format!("more than {limit} bytes"),
            Some(size) if have < size => format!("sha256:{found}, {have} bytes of {size}"),
            _ => format!("sha256:{found}"),
        }))
    }
}
