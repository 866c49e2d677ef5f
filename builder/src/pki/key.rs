//! Keys: from derived bytes to an ECDSA P-256 key that signs deterministically (design section 8).
//!
//! It owns arithmetic and encodings; which keys there are is [`certs`](super::certs)' concern.

use std::fmt;

use p256::ecdsa::{DerSignature, SigningKey, signature::Signer};
use p256::elliptic_curve::Curve;
use p256::elliptic_curve::bigint::{NonZero, U256, U384};
use p256::pkcs8::LineEnding;
use p256::{NistP256, SecretKey};
use sha2::{Digest, Sha256};

/// Text that must not appear in a message or a log: a private key or a file with one inside.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({} bytes)", self.0.len())
    }
}

/// An ECDSA P-256 key pair.
pub(super) struct Key {
    secret: SecretKey,
    /// The same, ready to sign: an authority signs often.
    signing: SigningKey,
    /// The public key as an uncompressed SEC 1 point: 65 bytes.
    point: Vec<u8>,
}

impl Key {
    /// The key of 48 derived bytes: the number that they are (big endian) modulo n − 1, plus 1, so every value is a
    /// valid scalar and none is noticeably likelier (FIPS 186-5, A.2.1: 384 bits for a 256-bit order).
    pub(super) fn from_derived(bytes: &[u8; 48]) -> Self {
        let order: U256 = *NistP256::ORDER.as_ref();
        let below_order =
            NonZero::new(order.wrapping_sub(&U256::ONE)).expect("the order of P-256 is above 1");
        let scalar = U384::from_be_slice(bytes).rem(&below_order).wrapping_add(&U256::ONE);
        let secret = SecretKey::from_slice(scalar.to_be_bytes().as_ref()).expect("between 1 and n - 1");
        let signing = SigningKey::from(&secret);
        let point = signing.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { secret, signing, point }
    }

    /// The identifier of the public key: the first 160 bits of SHA-256 over it (RFC 7093 section 2, method 1).
    pub(super) fn id(&self) -> Vec<u8> {
        Sha256::digest(&self.point)[..20].to_vec()
    }

    /// The public key as an uncompressed SEC 1 point.
    pub(super) fn point(&self) -> &[u8] {
        &self.point
    }

    /// The private key in PEM, as Kubernetes' own tools write it: SEC 1, `EC PRIVATE KEY`. Every parser of
    /// Kubernetes and etcd takes this form, while its public-key parser does not take PKCS#8.
    pub(super) fn pem(&self) -> SecretText {
        let pem = self.secret.to_sec1_pem(LineEnding::LF).expect("a P-256 key has an encoding");
        SecretText::new(pem.as_str().to_owned())
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    /// ECDSA with SHA-256 and the nonce of RFC 6979: the same message gives the same signature.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature =
            self.signing.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};
    use rcgen::SigningKey as _;

    use super::{Key, SecretText};

    /// The order of P-256 less one (SEC 2, section 2.4.2).
    const LAST: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";

    fn scalar(number: &str) -> String {
        let mut bytes = [0; 48];
        hex::decode_to_slice(format!("{number:0>96}"), &mut bytes).unwrap();
        hex::encode(Key::from_derived(&bytes).secret.to_bytes())
    }

    #[test]
    fn the_scalar_is_the_number_modulo_n_minus_1_plus_1() {
        let one = format!("{:0>64}", "1");
        assert_eq!(scalar("0"), one);
        assert_eq!(scalar("1"), format!("{:0>64}", "2"));
        assert_eq!(scalar(LAST), one);
        assert_eq!(scalar(&LAST.replace("2550", "254f")), LAST);
        // 2^384 - 1, computed with Python's integers.
        assert_eq!(
            scalar(&"ff".repeat(48)),
            "431905529c0166ce652e96b7ccca0a9a679b73e29ad16947f01cf012fc632550"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_valid_key(low in any::<[u8; 32]>(), high in any::<[u8; 16]>()) {
            let mut bytes = [0; 48];
            bytes[..16].copy_from_slice(&high);
            bytes[16..].copy_from_slice(&low);
            let scalar = hex::encode(Key::from_derived(&bytes).secret.to_bytes());
            prop_assert!(scalar.as_str() <= LAST);
            prop_assert!(scalar.bytes().any(|digit| digit != b'0'));
        }
    }

    /// RFC 6979, A.2.5: P-256, SHA-256, message "sample".
    #[test]
    fn signatures_are_those_of_rfc_6979() {
        let mut bytes = [0; 48];
        // The derivation adds the one.
        hex::decode_to_slice(
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6720",
            &mut bytes[16..],
        )
        .unwrap();
        let signature = hex::encode(Key::from_derived(&bytes).sign(b"sample").unwrap());
        assert!(signature.contains("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"));
        assert!(signature.contains("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"));
    }

    #[test]
    fn secret_text_does_not_show_itself() {
        assert_eq!(format!("{:?}", SecretText::new("abcd".into())), "SecretText(4 bytes)");
    }
}
