//! The administrator's SSH key: what `builder ssh` shows to the nodes. The private key stays in PEM (SEC 1), which
//! OpenSSH reads as well as its own form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::pki::issue::derived_key;
use crate::pki::key::SecretText;
use crate::pki::options::PkiOptions;
use crate::pki::secret::ClusterSecret;

/// The label that the key derives from.
pub(super) const LABEL: &str = "ssh/admin";

/// A key pair for SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// A line of an `authorized_keys` file, sshd(8).
    pub public: String,
    /// The private key in PEM.
    pub private: SecretText,
}

/// Derives the key of a cluster's administrator.
pub(super) fn admin(secret: &ClusterSecret, cluster: &str, options: &PkiOptions) -> SshKey {
    let key = derived_key(secret, LABEL, options);
    let blob = blob(key.point());
    SshKey {
        public: format!("ecdsa-sha2-nistp256 {} admin@{cluster}\n", STANDARD.encode(blob)),
        private: key.pem(),
    }
}

/// The public key as SSH sends it: three strings, each behind its length in 4 bytes, big endian (RFC 5656, 3.1).
fn blob(point: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    for part in [b"ecdsa-sha2-nistp256".as_slice(), b"nistp256", point] {
        let length = u32::try_from(part.len()).expect("the parts are short");
        blob.extend(length.to_be_bytes());
        blob.extend(part);
    }
    blob
}
