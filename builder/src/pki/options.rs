//! What the certificates depend on besides the secret and the nodes.

use std::collections::BTreeMap;

use crate::profile::Encryption;

/// Seconds of a day.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// Seconds of a year, which has 365 days here.
pub(super) const YEAR: i64 = 365 * DAY;

/// What the certificates depend on besides the secret and the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiOptions {
    /// The lock's epoch, in Unix seconds. Everything is valid from a year before it.
    pub epoch: i64,
    /// Years (of 365 days) from the epoch to the end of the authorities.
    pub ca_years: u32,
    /// Years (of 365 days) from the epoch to the end of all other certificates.
    pub leaf_years: u32,
    /// Generations of rotated labels; any other label is in its first generation, 1.
    pub generations: BTreeMap<String, u32>,
    /// More names and addresses of the API server, of a load balancer for example.
    pub api_server_names: Vec<String>,
    /// How Secrets are encrypted at rest.
    pub encryption: Encryption,
}

impl PkiOptions {
    /// The default options: 20 years for authorities, 10 for all others, nothing rotated, `aescbc`.
    #[must_use]
    pub fn new(epoch: i64) -> Self {
        Self {
            epoch,
            ca_years: 20,
            leaf_years: 10,
            generations: BTreeMap::new(),
            api_server_names: Vec::new(),
            encryption: Encryption::Aescbc,
        }
    }

    /// The generation of a label.
    pub(super) fn generation(&self, label: &str) -> u32 {
        self.generations.get(label).copied().unwrap_or(1)
    }
}

impl Encryption {
    /// Every provider.
    pub(super) const ALL: [Self; 2] = [Self::Aescbc, Self::Secretbox];

    /// The name in the configuration.
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::Aescbc => "aescbc",
            Self::Secretbox => "secretbox",
        }
    }

    /// The label of its keys: one of its own, since a key is for one algorithm.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Aescbc => "encryption/aescbc",
            Self::Secretbox => "encryption/secretbox",
        }
    }
}
