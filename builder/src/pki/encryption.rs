//! The API server's encryption configuration: how Secrets are encrypted in etcd, with derived keys.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::pki::key::SecretText;
use crate::pki::options::PkiOptions;
use crate::pki::secret::ClusterSecret;

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
