//! Where the node's identity is taken from at this boot, the seed or the partition, and what the record says of it. A
//! seed may stay in the machine: its identity is taken once. It does not read the streams.

use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::content::Content;
use crate::error::Error;
use crate::identity::{self, Identity};
use crate::record::{Record, State, Taken};
use crate::seed::IDENTITY_FILE;

/// The identity to take at this boot, if there is one.
#[derive(Debug, Default)]
pub struct Found {
    /// The identity.
    pub identity: Option<Identity>,
    /// SHA-256 of the seed's stream in hexadecimal, when it comes from there.
    pub seed: Option<String>,
}

/// Looks for the identity of `node`: in the seed's stream unless it has been taken already, else on `device`.
///
/// # Errors
/// One of the two is there and cannot be used.
pub fn find(
    stream: Option<&Content>,
    device: Option<&Path>,
    before: Option<&Record>,
    node: &str,
) -> Result<Found, Error> {
    let wiping = before.is_some_and(|record| record.identity.state == State::Wiping);
    let on_disk = match device {
        Some(device) if !wiping => identity::read(device, node)?,
        _ => None,
    };
    if let Some(stream) = stream {
        let digest = hex(&stream.bytes);
        let known =
            before.filter(|record| record.node == node).and_then(|record| record.identity.seed.as_ref());
        if known != Some(&digest) {
            let identity = identity::parse(&stream.bytes, node).map_err(Error::SeedIdentity)?;
            return Ok(Found { identity: Some(identity), seed: Some(digest) });
        }
    }
    Ok(Found { identity: on_disk, seed: None })
}

impl Found {
    /// What the record is to say: of what is taken now, else of what an earlier boot took.
    pub fn taken(&self, files: Vec<String>, before: Option<&Record>, device: Option<&Path>) -> Taken {
        let earlier = before.map(|record| record.identity.clone()).unwrap_or_default();
        if self.identity.is_none() {
            return earlier;
        }
        // The partition is wiped also when the seed's identity was taken instead of what it holds.
        let state = if device.is_some() { State::Wiping } else { State::Wiped };
        Taken { state, files, seed: self.seed.clone().or(earlier.seed) }
    }

    /// What the console says of it.
    pub fn describe(&self, taken: &Taken, device: Option<&Path>) -> String {
        let count = taken.files.len();
        let files = format!("{count} file{}", if count == 1 { "" } else { "s" });
        const CANNOT: &str = "services that need certificates cannot start";
        match (taken.state, device) {
            (State::None, None) => format!("identity none (there is no partition kiln-identity): {CANNOT}"),
            (State::None, Some(device)) => format!("identity none ({} is empty): {CANNOT}", device.display()),
            _ if self.seed.is_some() => format!("identity {files} (NoCloud, {IDENTITY_FILE})"),
            (_, Some(device)) if self.identity.is_some() => {
                format!("identity {files} ({})", device.display())
            }
            _ => format!("identity {files} (taken at an earlier boot)"),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
