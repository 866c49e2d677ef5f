//! The firstboot binary that goes into the images: compiled with this builder, and the same bytes as the lock's.

use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain};
use crate::ground::hash::Sha256Hex;
use crate::ground::repro::sha256_hex;
use crate::lockfile::Lock;

static AMD64: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/firstboot-amd64"));
static ARM64: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/firstboot-arm64"));

/// This builder carries another firstboot than the lock expects: images would differ from everyone else's.
#[derive(Debug, thiserror::Error)]
#[error(
    "this builder's firstboot for {arch} is not the lock's\n  expected sha256:{expected}\n  found    sha256:{found}"
)]
pub struct FirstbootError {
    arch: Arch,
    expected: String,
    found: String,
}

impl Explain for FirstbootError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some(
            "build Kiln with the compiler of rust-toolchain.toml; after a change of firstboot, run `builder lock update firstboot`"
                .to_owned(),
        )
    }
}

/// The binary for an architecture, checked against the lock.
///
/// # Errors
/// [`FirstbootError`] when it is another one.
pub fn binary(lock: &Lock, arch: Arch) -> Result<&'static [u8], FirstbootError> {
    let binary = of(arch);
    let found = sha256_hex(binary);
    match lock.firstboot.get(&arch).map(Sha256Hex::as_str) {
        Some(expected) if expected == found => Ok(binary),
        expected => Err(FirstbootError { arch, expected: expected.unwrap_or("(nothing)").to_owned(), found }),
    }
}

/// The hash of the binary that this builder carries.
#[must_use]
pub fn sha256(arch: Arch) -> String {
    sha256_hex(of(arch))
}

fn of(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::Amd64 => AMD64,
        Arch::Arm64 => ARM64,
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::ground::arch::ARCHITECTURES;

    /// What the README promises.
    const LARGEST: usize = 1 << 20;

    #[test]
    fn firstboot_is_small() {
        for arch in ARCHITECTURES {
            let size = of(arch).len();
            assert!(size <= LARGEST, "firstboot for {arch} has {size} bytes, over the limit of {LARGEST}");
        }
    }
}
