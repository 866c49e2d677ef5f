//! The cluster secret: 32 random bytes that every key and token of a cluster derives from (design section 8).
//!
//! It owns the secret's file and the derivation function. It does not own which labels there are (that is
//! [`pki`](crate::pki)) or where the file lies. The bytes show up in no message, no log and no `Debug` output.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use hkdf::Hkdf;
use sha2::Sha256;

use crate::ground::error::{Class, Explain};

/// HKDF's salt, a part of the format: a change changes every key.
const SALT: &[u8] = b"kiln/v1";

/// Permission bits of a new secret's file.
const MODE: u32 = 0o600;

/// The secret of one cluster. Its file holds 64 hexadecimal digits and a newline, mode 0600.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret([u8; 32]);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

/// A cluster secret could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is not there.
    #[error("there is no cluster secret `{}`", .0.display())]
    Missing(PathBuf),
    /// A folder, a device or a pipe.
    #[error("the cluster secret `{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Others than the owner may read or write it.
    #[error("the cluster secret `{}` has mode {mode:04o}, so others can reach it", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file has another length.
    #[error("the cluster secret `{}` has {found} characters, not 64 hexadecimal digits and a newline", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Characters in the file, without a newline at its end.
        found: u64,
    },
    /// The file has the right length and something else than hexadecimal digits.
    #[error("the cluster secret `{}` holds something else than hexadecimal digits", .0.display())]
    Digits(PathBuf),
    /// The host failed to read or write the file; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The kernel gave no random bytes.
    #[error("the kernel gives no random bytes for a new cluster secret: {0}")]
    Random(getrandom::Error),
}

impl Explain for SecretError {
    fn class(&self) -> Class {
        match self {
            Self::Io(_) | Self::Random(_) => Class::Host,
            _ => Class::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => {
                Some("check the path; a build without `--secret` makes one for its cluster".into())
            }
            Self::Permissions { path, .. } => Some(format!("chmod 600 '{}'", path.display())),
            Self::NotAFile(_) | Self::Length { .. } | Self::Digits(_) => Some(
                "restore the file from a backup; a new secret is a new cluster, so none is made over an old file"
                    .into(),
            ),
            Self::Io(_) | Self::Random(_) => None,
        }
    }
}

impl ClusterSecret {
    /// A secret of known bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the secret at `path`.
    ///
    /// # Errors
    /// Each way in which the file can be wrong is a [`SecretError`] of its own.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(SecretError::Missing(path.to_owned()));
            }
            other => other?,
        };
        if !metadata.is_file() {
            return Err(SecretError::NotAFile(path.to_owned()));
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Permissions { path: path.to_owned(), mode });
        }
        if metadata.len() > 65 {
            return Err(SecretError::Length { path: path.to_owned(), found: metadata.len() });
        }
        let text = fs::read(path)?;
        let digits = text.strip_suffix(b"\n").unwrap_or(&text);
        if digits.len() != 64 {
            return Err(SecretError::Length { path: path.to_owned(), found: digits.len() as u64 });
        }
        let mut bytes = [0; 32];
        // The decoder's own error quotes a character of the secret, so it goes no further.
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| SecretError::Digits(path.to_owned()))?;
        Ok(Self(bytes))
    }

    /// Reads the secret at `path`, or makes a new one there (with its folder, mode 0700) when there is no file.
    ///
    /// The file appears whole or not at all, and never over another: of two builds that make it at the same time
    /// one wins, and both get the winner's.
    ///
    /// # Errors
    /// As [`load`](Self::load): a wrong file is refused, not replaced.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        match Self::load(path) {
            Err(SecretError::Missing(_)) => {}
            other => return other,
        }
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| named(&error, "cannot make", folder))?;
        let mut file = tempfile::Builder::new()
            .prefix(".secret-")
            .tempfile_in(folder)
            .map_err(|error| named(&error, "cannot make a file in", folder))?;
        let secret = Self(random_bytes()?);
        let failed = |error: std::io::Error| named(&error, "cannot write", path);
        // Explicit, because the umask may have taken the owner's bits.
        file.as_file().set_permissions(PermissionsExt::from_mode(MODE)).map_err(failed)?;
        writeln!(file, "{}", hex::encode(secret.0)).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        match file.persist_noclobber(path) {
            Ok(_) => {
                fs::File::open(folder)?.sync_all()?;
                Ok(secret)
            }
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(failed(error.error).into()),
        }
    }

    /// `N` bytes that are a function of the secret, a label and extra input: HKDF-SHA256 (RFC 5869) with salt
    /// `kiln/v1` and info = label ‖ input. Who calls it keeps label and input apart.
    #[must_use]
    pub fn derive<const N: usize>(&self, label: &str, input: &[u8]) -> [u8; N] {
        const { assert!(N <= 255 * 32, "HKDF-SHA256 gives no more") };
        let mut bytes = [0; N];
        Hkdf::<Sha256>::new(Some(SALT), &self.0)
            .expand_multi_info(&[label.as_bytes(), input], &mut bytes)
            .expect("the length was checked when this was compiled");
        bytes
    }
}

/// The one place of Kiln that asks for randomness: everything else in an image is a function of its inputs, and the
/// secret is the only input that nobody may be able to guess.
fn random_bytes() -> Result<[u8; 32], SecretError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(SecretError::Random)?;
    Ok(bytes)
}

/// The error with what was being done to which path.
fn named(error: &std::io::Error, doing: &str, path: &Path) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{doing} `{}`: {error}", path.display()))
}

/// Where the project keeps the secret of a cluster.
#[must_use]
pub fn path(project: &Path, cluster: &str) -> PathBuf {
    project.join("secrets").join(format!("{cluster}.key"))
}

#[cfg(test)]
mod tests {
    use super::{Class, ClusterSecret, Explain, MODE, Path, PathBuf, PermissionsExt, SecretError, fs};

    fn write(folder: &tempfile::TempDir, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = folder.path().join("demo.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_secret_is_private_and_never_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/demo.key");
        let made = ClusterSecret::load_or_create(&path).unwrap();
        let text = fs::read(&path).unwrap();
        assert_eq!((text.len(), text.last()), (65, Some(&b'\n')));
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (MODE, 0o700));
        assert!(ClusterSecret::load_or_create(&path).unwrap() == made);
        assert!(ClusterSecret::load(&path).unwrap() == made);
        assert_eq!(fs::read(&path).unwrap(), text);
        let other = ClusterSecret::load_or_create(&folder.path().join("other.key")).unwrap();
        assert!(other != made);
        // No temporary file stays behind.
        assert_eq!(fs::read_dir(folder.path().join("secrets")).unwrap().count(), 1);
    }

    #[test]
    fn every_wrong_file_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let good = "0f".repeat(32);
        let cases: [(Vec<u8>, u32, &str); 7] = [
            (format!("{good}\n").into(), 0o640, "has mode 0640"),
            (format!("{good}\n").into(), 0o604, "has mode 0604"),
            (Vec::new(), 0o600, "has 0 characters"),
            (good[2..].into(), 0o600, "has 62 characters"),
            (format!("{good}\n\n").into(), 0o600, "has 66 characters"),
            (format!("{}zz\n", &good[2..]).into(), 0o600, "something else than hexadecimal"),
            (format!("{good}00\n").into(), 0o600, "has 67 characters"),
        ];
        for (text, mode, expected) in cases {
            let path = write(&folder, &text, mode);
            for error in
                [ClusterSecret::load(&path).unwrap_err(), ClusterSecret::load_or_create(&path).unwrap_err()]
            {
                let message = error.to_string();
                assert!(message.contains(expected), "{message}");
                assert!(message.contains("demo.key"), "{message}");
                assert!(!message.contains("0f0f"), "{message}");
                assert_eq!(error.class(), Class::Input);
                assert!(error.hint().is_some());
            }
            assert_eq!(fs::read(&path).unwrap(), text);
        }
        assert!(matches!(ClusterSecret::load(folder.path()), Err(SecretError::NotAFile(_))));
        assert!(matches!(ClusterSecret::load(&folder.path().join("x")), Err(SecretError::Missing(_))));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = ClusterSecret::load_or_create(&file.join("demo.key")).unwrap_err();
        assert_eq!(error.class(), Class::Host);
        assert!(error.to_string().contains("file/demo.key"), "{error}");
    }

    /// The second value is `openssl kdf -keylen 8 -kdfopt digest:SHA256 -kdfopt hexkey:0000…0 -kdfopt salt:kiln/v1
    /// -kdfopt hexinfo:61646d696e00000001 HKDF`.
    #[test]
    fn derivation_is_hkdf_and_debug_shows_nothing() {
        let secret = ClusterSecret::from_bytes([0; 32]);
        let bytes: [u8; 8] = secret.derive("admin", &1_u32.to_be_bytes());
        assert_eq!(hex::encode(bytes), "e6589957c03d9691");
        assert_eq!(format!("{:?}", ClusterSecret::from_bytes([0xab; 32])), "ClusterSecret(…)");
    }
}
