//! The architectures that machines may have, by the names that Debian gives them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Debian architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

/// All: a builder carries a firstboot for each.
pub const ARCHITECTURES: [Arch; 2] = [Arch::Amd64, Arch::Arm64];

impl Arch {
    /// That of the machines that build and that run what was built: programs of the lock that do not end up in images
    /// are for it.
    pub const HOST: Self = Self::Amd64;

    /// Its [multiarch tuple](https://wiki.debian.org/Multiarch/Tuples).
    #[must_use]
    pub fn multiarch(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}
