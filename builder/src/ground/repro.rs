//! Determinism in one place: everything in an output that would elsewhere come from a clock, a random number or the
//! host is derived here from an input.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// SHA-256 of some bytes, in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A UUID (version 8, RFC 9562) that is a function of a step key and a label.
#[must_use]
pub fn uuid(key: &[u8; 32], label: &str) -> Uuid {
    let digest = Sha256::new().chain_update(key).chain_update(label).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
