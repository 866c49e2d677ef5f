//! `provenance.json`: what was built, of what and how, as an [in-toto statement](https://in-toto.io/Statement/v1) with
//! [SLSA's provenance](https://slsa.dev/spec/v1.0/provenance), unsigned. The same build says the same bytes: no time, no
//! host and no mirror is in it. By it someone else builds the same again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{Compression, Encoding, Format};
use crate::ground::arch::Arch;
use crate::ground::error::{InputError, Result};
use crate::ground::hash::Sha256Hex;
use crate::ground::input;
use crate::plan::Plan;
use crate::plan::materials::Material;
use crate::profile::Identity;
use crate::results::image::Image;

/// The file's name.
pub const FILE: &str = "provenance.json";

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// What the parameters below mean; its number is raised when that changes. A tag (RFC 4151): it leads nowhere.
const BUILD_TYPE: &str = "tag:kiln,2026:image/v1";

/// What built it: any machine with this program.
const BUILDER: &str = "tag:kiln,2026:builder";

/// A statement about the images of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    #[serde(rename = "_type")]
    statement: String,
    /// The images.
    pub subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its file's name.
    pub name: String,
    /// `sha256` of the file.
    pub digest: BTreeMap<String, Sha256Hex>,
    /// What else is said of it.
    pub annotations: Annotations,
}

/// What is said of an image besides its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotations {
    /// The role that it is for.
    pub role: String,
    /// SHA-256 of its disk without identities: equal for everybody, whatever the cluster secret.
    pub content_sha256: Sha256Hex,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: Parameters,
    resolved_dependencies: Vec<Material>,
}

/// What the caller asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Name of the profile.
    pub profile: String,
    /// Release of the lockfile.
    pub release: String,
    /// Architecture of the images.
    pub arch: Arch,
    /// Where the nodes' identities went.
    pub identity: Identity,
    /// Format of the image files.
    pub format: Format,
    /// How they are compressed, where the format has a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Builder {
    id: String,
    version: BTreeMap<String, String>,
}

impl Statement {
    /// The statement about the images of a plan.
    ///
    /// # Errors
    /// When a file of the plan cannot be read.
    pub fn of(plan: &Plan, images: &[Image], identity: Identity, encoding: Encoding) -> Result<Self> {
        let subject = |image: &Image| Subject {
            name: image.file.clone(),
            digest: BTreeMap::from([("sha256".to_owned(), image.sha256.clone())]),
            annotations: Annotations {
                role: image.role.clone(),
                content_sha256: image.content_sha256.clone(),
            },
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let parameters = Parameters {
            profile: plan.profile.name.clone(),
            release: plan.cluster.release.clone(),
            arch: plan.arch,
            identity,
            format: encoding.format(),
            compression: encoding.compression(),
        };
        Ok(Self {
            statement: STATEMENT.to_owned(),
            subject: images.iter().map(subject).collect(),
            predicate_type: PREDICATE.to_owned(),
            predicate: Predicate {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.to_owned(),
                    external_parameters: parameters,
                    resolved_dependencies: [plan.own_materials()?, plan.locked_materials()].concat(),
                },
                run_details: RunDetails {
                    builder: Builder {
                        id: BUILDER.to_owned(),
                        version: BTreeMap::from([("kiln".to_owned(), version)]),
                    },
                },
            },
        })
    }

    /// Reads that of a folder of results.
    ///
    /// # Errors
    /// [`InputError`] when there is none, or one that this program does not know.
    pub fn load(folder: &Path) -> Result<Self, InputError> {
        let path = folder.join(FILE);
        let hint =
            "name a folder of results, like `out/PROFILE`; a build of an older Kiln has none: build again"
                .to_owned();
        let missing = || InputError::Missing { what: "report", path: path.clone(), hint: hint.clone() };
        Self::parse(&path, &input::read(&path, missing)?)
    }

    /// Validates the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Statement::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, InputError> {
        let wrong = |line: usize, message: String| InputError::Wrong {
            path: path.to_owned(),
            line,
            message,
            hint: Some("build the profile again".to_owned()),
        };
        let statement: Self =
            serde_json::from_str(text).map_err(|error| wrong(error.line(), error.to_string()))?;
        let found = &statement.predicate.build_definition.build_type;
        if found != BUILD_TYPE {
            return Err(wrong(1, format!("`buildType` is `{found}`, and this builder knows `{BUILD_TYPE}`")));
        }
        Ok(statement)
    }

    /// The file's text.
    ///
    /// # Errors
    /// None in practice: every value can be written.
    pub fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// What the caller asked for.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.predicate.build_definition.external_parameters
    }

    /// In which inputs two builds differ, by name; the first is what this one says.
    #[must_use]
    pub fn other_inputs(&self, other: &Self) -> BTreeMap<String, [Option<String>; 2]> {
        let of = |statement: &Self| {
            let Predicate { build_definition, run_details } = &statement.predicate;
            let version = run_details.builder.version.iter();
            let version = version.map(|(name, version)| (name.clone(), version.clone()));
            let materials = build_definition.resolved_dependencies.iter().map(|material| {
                let digest = material.digest.iter().map(|(kind, digest)| format!("{kind}:{digest}"));
                (
                    material.uri.as_ref().unwrap_or(&material.name).clone(),
                    digest.collect::<Vec<_>>().join(" "),
                )
            });
            version.chain(materials).collect::<BTreeMap<_, _>>()
        };
        let (mine, theirs) = (of(self), of(other));
        let names = mine.keys().chain(theirs.keys()).filter(|name| mine.get(*name) != theirs.get(*name));
        names.map(|name| (name.clone(), [&mine, &theirs].map(|it| it.get(name).cloned()))).collect()
    }
}
