//! Bytes of a file, some of which are secret.

use std::fmt;

/// The bytes of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether they are never to be shown.
    pub secret: bool,
}

/// Without the bytes when they are secret.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret {
            return write!(f, "{} secret bytes", self.bytes.len());
        }
        write!(f, "{:?}", String::from_utf8_lossy(&self.bytes))
    }
}
