//! Builds from source in the sandbox, as the lockfile writes them: a source package of Debian with a recipe's script, or
//! Go modules with a recipe's `go.mod` and `go.sum`.
//!
//! It owns the format and which keys go together; whether names lead somewhere is `consistent`'s concern.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;
use crate::ground::hash::Sha256Hex;
use crate::lockfile::go::Go;

/// The folder of recipes in a project.
pub const RECIPES: &str = "recipes";

/// A build from source: the files that it makes are a component's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "WrittenBuild", into = "WrittenBuild")]
pub struct Build {
    /// The folder below `recipes/`.
    pub recipe: String,
    /// What it compiles.
    pub from: From,
    /// The root that it runs in.
    pub root: String,
    /// The root that it runs in when its files are for another architecture than that of the machine that builds.
    pub cross: BTreeMap<Arch, String>,
    /// Environment of the recipe.
    pub env: BTreeMap<String, String>,
    /// The SHA-256 of every file that it makes, by name, per architecture.
    pub output: BTreeMap<Arch, BTreeMap<String, Sha256Hex>>,
}

/// What a build compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A source package of Debian, by the recipe's `build.sh` with the unpacked source at /kiln/src.
    Debian {
        /// Name of a [`Source`](super::format::Source).
        source: String,
    },
    /// Go modules, as the recipe's `go.mod` and `go.sum` say.
    Go(Box<Go>),
}

impl Build {
    /// The root in which the files for an architecture are made.
    #[must_use]
    pub fn root_for(&self, arch: Arch) -> &str {
        self.cross.get(&arch).unwrap_or(&self.root)
    }

    /// How it compiles Go modules, when it does.
    #[must_use]
    pub fn go(&self) -> Option<&Go> {
        match &self.from {
            From::Go(go) => Some(go),
            From::Debian { .. } => None,
        }
    }

    /// The source package that it compiles, if it is one.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        match &self.from {
            From::Debian { source } => Some(source),
            From::Go(_) => None,
        }
    }

    /// The files that it makes for an architecture, as far as the lock expects some; a program of several names stands
    /// under each.
    #[must_use]
    pub fn names(&self, arch: Arch) -> BTreeSet<&str> {
        let made = self.output.get(&arch).into_iter().flat_map(BTreeMap::keys);
        let names = made.flat_map(|file| {
            let further = self.go().and_then(|go| go.names.get(file));
            [file].into_iter().chain(further.into_iter().flatten())
        });
        names.map(String::as_str).collect()
    }
}

/// A build as it stands in the file: every key of both kinds.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenBuild {
    /// The source package that is compiled, by `recipes/RECIPE/build.sh` for the architecture in `KILN_ARCH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// How Go modules are compiled, by `recipes/RECIPE/go.mod` and `go.sum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    go: Option<Go>,
    /// The folder below `recipes/`.
    recipe: String,
    /// The root that it runs in. Of a build of Go modules, also the one whose `go` command fetches them.
    root: String,
    /// The root that it runs in when its files are for another architecture than that of the machine that builds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    cross: BTreeMap<Arch, String>,
    /// Environment of the recipe.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    /// The SHA-256 of every file that it makes, by name, per architecture. `builder lock compile` writes it.
    #[serde(default)]
    output: BTreeMap<Arch, BTreeMap<String, Sha256Hex>>,
}

impl TryFrom<WrittenBuild> for Build {
    type Error = String;

    fn try_from(written: WrittenBuild) -> Result<Self, String> {
        let WrittenBuild { source, go, recipe, root, cross, env, output } = written;
        let from = match (source, go) {
            (Some(source), None) => From::Debian { source },
            (None, Some(go)) => From::Go(Box::new(go)),
            _ => return Err("a build has one of `source` and `go`".to_owned()),
        };
        Ok(Self { recipe, from, root, cross, env, output })
    }
}

impl std::convert::From<Build> for WrittenBuild {
    fn from(Build { recipe, from, root, cross, env, output }: Build) -> Self {
        let (source, go) = match from {
            From::Debian { source } => (Some(source), None),
            From::Go(go) => (None, Some(*go)),
        };
        Self { source, go, recipe, root, cross, env, output }
    }
}
