//! The API server's encryption configuration: how Secrets are encrypted in etcd, with derived keys.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PkiOptions;
use super::key::SecretText;
use crate::secret::ClusterSecret;

/// A provider of encryption at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// AES-CBC with a 32-byte key, as the guides set it up.
    #[default]
    Aescbc,
    /// XSalsa20 and Poly1305.
    Secretbox,
}

impl Encryption {
    /// Every provider.
    pub(super) const ALL: [Self; 2] = [Self::Aescbc, Self::Secretbox];

    /// The name in the configuration.
    fn provider(self) -> &'static str {
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

/// The text of the configuration. The newest key encrypts; those of older generations stay, so that what they encrypted
/// can be read.
pub(super) fn config(secret: &ClusterSecret, options: &PkiOptions) -> SecretText {
    let provider = options.encryption.provider();
    let label = options.encryption.label();
    let mut text = format!(
        "kind: EncryptionConfiguration\n\
         apiVersion: apiserver.config.k8s.io/v1\n\
         resources:\n\
         \x20 - resources:\n\
         \x20     - secrets\n\
         \x20   providers:\n\
         \x20     - {provider}:\n\
         \x20         keys:\n"
    );
    for generation in (1..=options.generation(label)).rev() {
        let key: [u8; 32] = secret.derive(label, &generation.to_be_bytes());
        let key = STANDARD.encode(key);
        write!(
            text,
            "\x20           - name: key{generation}\n\
             \x20             secret: {key}\n"
        )
        .expect("a string takes all text");
    }
    text.push_str("      - identity: {}\n");
    SecretText::new(text)
}
