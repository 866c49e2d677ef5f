//! Checksums as the lockfile writes them, and the digests that compute them.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::digest::DynDigest;
use sha2::{Sha256, Sha512};

/// A SHA-256 in lower-case hexadecimal.
pub type Sha256Hex = Hex<64>;

/// A SHA-512 in lower-case hexadecimal.
pub type Sha512Hex = Hex<128>;

/// The digest of a file's content, in hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub fn of_file(path: &Path, digest: &mut dyn DynDigest) -> io::Result<String> {
    io::copy(&mut fs_err::File::open(path)?, &mut HashWriter(digest))?;
    Ok(hex::encode(digest.finalize_reset()))
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of_file(path: &Path) -> io::Result<String> {
    of_file(path, &mut Sha256::default())
}

/// Hashes what is written to it.
pub(crate) struct HashWriter<'a>(pub(crate) &'a mut dyn DynDigest);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A hash of the SHA-2 family in so many lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex<const DIGITS: usize>(String);

impl<const DIGITS: usize> Hex<DIGITS> {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const DIGITS: usize> FromStr for Hex<DIGITS> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            let bits = DIGITS * 4;
            Err(format!("`{text}` is not a SHA-{bits} ({DIGITS} lower-case hexadecimal digits)"))
        }
    }
}

impl<const DIGITS: usize> TryFrom<String> for Hex<DIGITS> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl<const DIGITS: usize> From<Hex<DIGITS>> for String {
    fn from(hash: Hex<DIGITS>) -> Self {
        hash.0
    }
}

impl<const DIGITS: usize> fmt::Display for Hex<DIGITS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const DIGITS: usize> AsRef<str> for Hex<DIGITS> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The digest of a container image or of a part of it, as registries write it: `sha256:` and the digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Sha256Hex);

impl Digest {
    /// The content that it stands for.
    #[must_use]
    pub fn sha256(&self) -> &Sha256Hex {
        &self.0
    }
}

impl From<Sha256Hex> for Digest {
    fn from(sha256: Sha256Hex) -> Self {
        Self(sha256)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("sha256:");
        let wrong = || format!("`{text}` is not a digest: `sha256:` and 64 lower-case hexadecimal digits");
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// What a file must be: Debian publishes SHA-256, others SHA-256 or SHA-512.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Hash {
    /// SHA-256.
    Sha256(Sha256Hex),
    /// SHA-512.
    Sha512(Sha512Hex),
}

impl Hash {
    /// The digits; their number tells the kinds apart.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256(hash) => hash.as_str(),
            Self::Sha512(hash) => hash.as_str(),
        }
    }

    /// What computes hashes of this kind.
    #[must_use]
    pub fn digest(&self) -> Box<dyn DynDigest> {
        match self {
            Self::Sha256(_) => Box::new(Sha256::default()),
            Self::Sha512(_) => Box::new(Sha512::default()),
        }
    }

    /// The name of the kind: `sha256` or `sha512`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }
}

impl From<Sha256Hex> for Hash {
    fn from(hash: Sha256Hex) -> Self {
        Self::Sha256(hash)
    }
}

impl AsRef<str> for Hash {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Hash {
    /// `sha256:<digits>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.as_str())
    }
}

#[cfg(test)]
mod schema {
    //! Hashes in the reference of the lockfile: texts of a kind.

    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Digest, Hex};

    impl<const DIGITS: usize> JsonSchema for Hex<DIGITS> {
        fn schema_name() -> Cow<'static, str> {
            format!("Sha{}Hex", DIGITS * 4).into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "format": format!("SHA-{}", DIGITS * 4) })
        }
    }

    impl JsonSchema for Digest {
        fn schema_name() -> Cow<'static, str> {
            "Digest".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "format": "digest" })
        }
    }
}
