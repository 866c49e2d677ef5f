//! Go in the lockfile: how a build compiles modules, and every module that some build compiles, pinned by the hash that
//! the public checksum database has of it.
//!
//! It owns the format. `go.mod` and `go.sum` are ordinary files in the recipe's folder; what the lock says of them
//! follows from them, and `lock check` compares.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::ground::hash::Sha256Hex;

/// How a build compiles Go modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Go {
    /// The version of Go that compiles, `go1.27.3`: the module `golang.org/toolchain` has it.
    pub toolchain: String,
    /// The module of go.mod whose version and date the programs tell; absent where the recipe itself is the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Program → its main package; `.` is the recipe's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, String>,
    /// Program → the package whose tests it runs, as `go test -c` compiles them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tests: BTreeMap<String, String>,
    /// File → the file of a package that it is a copy of: the package, a slash, its name there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Program → further names of it: links, by which it knows what to be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Vec<String>>,
    /// Build tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Variables that are set at link time, `PACKAGE.NAME` → value. In a value `{version}` stands for the module's version
    /// (`v1.37.2`), `{number}` for the same without the `v`, `{major}` and `{minor}` for its first numbers, `{date}` for
    /// `released`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Whether C is compiled too, by the root's gcc.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cgo: bool,
    /// The version of `module` in go.mod. Written by the update.
    #[serde(default)]
    pub version: String,
    /// When that version was made, as the module proxy says: `2026-11-10T12:33:11Z`. Written by the update.
    #[serde(default)]
    pub released: String,
    /// The SHA-256 of go.mod and go.sum. Written by the update.
    #[serde(default)]
    pub files: BTreeMap<String, Sha256Hex>,
}

impl Go {
    /// A value of `variables` with what stands for the module's version and date filled in.
    #[must_use]
    pub fn filled(&self, value: &str) -> String {
        let number = self.version.trim_start_matches('v');
        let mut numbers = number.split(['.', '-', '+']);
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let filled = value.replace("{version}", &self.version).replace("{number}", number);
        filled.replace("{major}", major).replace("{minor}", minor).replace("{date}", &self.released)
    }

    /// The package of a file of `data`, and the file's name there.
    #[must_use]
    pub fn package(file: &str) -> (&str, &str) {
        file.rsplit_once('/').unwrap_or_default()
    }

    /// The module that Go itself is, for the machines that build.
    #[must_use]
    pub fn toolchain_version(&self) -> String {
        format!("v0.0.1-{}.linux-amd64", self.toolchain)
    }
}

/// The path of the module that Go itself is.
pub const TOOLCHAIN: &str = "golang.org/toolchain";

/// The Go modules of the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Modules {
    /// Every module that a build reads, one a line. Written by the update.
    #[serde(default)]
    pub modules: Vec<Module>,
}

/// A version of a Go module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its path.
    pub path: String,
    /// Its version.
    pub version: String,
    /// The builds that read it.
    pub builds: BTreeSet<String>,
    /// What go.sum has of its content; absent where only its go.mod is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<ModuleSum>,
    /// What go.sum has of its go.mod; absent where that is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go_mod: Option<ModuleSum>,
    /// Bytes of its zip, as the proxy that was asked first had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Module {
    /// Whether another line names the same files. Of a module that one build compiles, another one may read the go.mod
    /// alone: these are two lines, so that no build fetches what only others need.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.path, &self.version, &self.sum, &self.go_mod)
            == (&other.path, &other.version, &other.sum, &other.go_mod)
    }
}

impl fmt::Display for Module {
    /// `path@version`, as the go command writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.path, self.version)
    }
}

/// A hash as go.sum writes it: `h1:` and 32 bytes in base64
/// ([the module reference](https://go.dev/ref/mod#go-sum-files)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleSum(String);

impl ModuleSum {
    /// That of a digest.
    #[must_use]
    pub fn of(digest: &[u8; 32]) -> Self {
        Self(format!("h1:{}", STANDARD.encode(digest)))
    }

    /// Its digest in hexadecimal, which in-toto calls
    /// [`dirHash`](https://github.com/in-toto/attestation/blob/main/spec/v1/digest_set.md).
    #[must_use]
    pub fn hex(&self) -> String {
        // It was checked when it was read.
        STANDARD.decode(self.0.trim_start_matches("h1:")).map(hex::encode).unwrap_or_default()
    }

    /// As go.sum writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ModuleSum {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digest = text.strip_prefix("h1:").and_then(|digits| STANDARD.decode(digits).ok());
        match digest {
            Some(digest) if digest.len() == 32 => Ok(Self(text)),
            _ => Err(format!("`{text}` is not a hash of go.sum: `h1:` and 32 bytes in base64")),
        }
    }
}

impl From<ModuleSum> for String {
    fn from(sum: ModuleSum) -> Self {
        sum.0
    }
}

#[cfg(test)]
mod schema {
    //! The hash in the reference of the lockfile: a text of a kind.

    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::ModuleSum {
        fn schema_name() -> Cow<'static, str> {
            "ModuleSum".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "format": "hash of go.sum" })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Go, ModuleSum};

    #[test]
    fn variables_tell_the_version_and_the_date() {
        let go = Go {
            toolchain: "go1.27.3".to_owned(),
            module: None,
            programs: BTreeMap::new(),
            data: BTreeMap::new(),
            tests: BTreeMap::new(),
            names: BTreeMap::new(),
            tags: Vec::new(),
            variables: BTreeMap::new(),
            cgo: false,
            version: "v1.37.2".to_owned(),
            released: "2026-11-10T12:33:11Z".to_owned(),
            files: BTreeMap::new(),
        };
        let filled = go.filled("{version} {number} {major}.{minor} {date} {else}");
        assert_eq!(filled, "v1.37.2 1.37.2 1.37 2026-11-10T12:33:11Z {else}");
    }

    #[test]
    fn a_sum_is_of_thirty_two_bytes() {
        let good = ModuleSum::of(&[7; 32]);
        assert_eq!(ModuleSum::try_from(good.to_string()), Ok(good));
        for bad in ["", "h1:", "h1:AAAA", "h2:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "h1:*"] {
            assert!(ModuleSum::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
