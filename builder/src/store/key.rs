//! The names of steps: what may change a byte of a result is in its name.

use serde::Serialize;

use crate::ground::repro::sha256_hex;

/// The name of what a step makes: a function of everything that may change a byte of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StepKey {
    name: &'static str,
    digest: String,
}

impl StepKey {
    /// The key of a step from its recipe's version and its description, which holds every parameter and the keys or
    /// hashes of all inputs. Its JSON form is canonical: structs in the order of their fields, maps sorted.
    ///
    /// # Panics
    /// When the description has no JSON form, which a derived `Serialize` without foreign map keys always has.
    #[must_use]
    pub fn new(name: &'static str, recipe_version: u32, description: &impl Serialize) -> Self {
        let text = serde_json::to_string(&(name, recipe_version, description));
        let text =
            text.unwrap_or_else(|error| panic!("the description of step `{name}` has no JSON form: {error}"));
        Self { name, digest: sha256_hex(text) }
    }

    /// The digest's 32 bytes: what UUIDs and serial numbers derive from.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // The digest is hexadecimal by construction.
        let _ = hex::decode_to_slice(&self.digest, &mut bytes);
        bytes
    }

    /// The digest in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The name of its folder: `<name>-<key>`.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}-{}", self.name, self.digest)
    }
}
