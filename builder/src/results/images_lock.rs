//! `images.lock`, version 1: the content hashes that a project's images have, committed beside its lockfile. Whoever builds
//! them with `--frozen` gets these or nothing; a change of the lockfile, a profile or a recipe shows in it, one line an image.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;
use crate::ground::durable::public;
use crate::ground::error::{Class, Explain, InputError, Result};
use crate::ground::hash::Sha256Hex;
use crate::ground::input;
use crate::plan::Plan;

/// The file's name, in a project's folder.
pub const FILE: &str = "images.lock";

/// The format version that this program reads and writes.
const VERSION: u32 = 1;

const HEAD: &str = "\
# The content hashes of this project's images (SHA-256 of the disk without identities).
# `builder build --frozen` fails when it makes others; `builder hash --write` writes those that were made last.
";

/// A release of a profile for an architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Of {
    /// The profile's name.
    pub profile: String,
    /// The lockfile's release.
    pub release: String,
    /// The images' architecture.
    pub arch: Arch,
}

impl Of {
    /// That of a plan.
    #[must_use]
    pub fn plan(plan: &Plan) -> Self {
        let (profile, release) = (plan.profile.name.clone(), plan.cluster.release.clone());
        Self { profile, release, arch: plan.arch }
    }
}

/// Content hashes by role.
pub type Hashes = BTreeMap<String, Sha256Hex>;

/// The hashes that a project has on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagesLock(BTreeMap<Of, Hashes>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    image: Vec<WrittenImage>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenImage {
    profile: String,
    release: String,
    arch: Arch,
    role: String,
    content_sha256: Sha256Hex,
}

/// Images are not what the record says.
#[derive(Debug, thiserror::Error)]
pub enum FrozenError {
    /// It says nothing of them.
    #[error("{FILE} has no image of the profile `{}` with the release `{}` for {}", of.profile, of.release, of.arch)]
    Unknown {
        /// Which ones.
        of: Box<Of>,
    },
    /// It says something else.
    #[error("the image of `{role}` is not the one that {FILE} has\n  expected sha256:{expected}\n  found    {}", found_text(found.as_ref()))]
    Differs {
        /// Which ones.
        of: Box<Of>,
        /// The first role that differs.
        role: String,
        /// What the record says.
        expected: Sha256Hex,
        /// What it is; none when no node has the role any more.
        found: Option<Sha256Hex>,
    },
    /// A role is not on record.
    #[error("{FILE} has no image of the role `{role}`")]
    NewRole {
        /// Which ones.
        of: Box<Of>,
        /// The role.
        role: String,
    },
}

fn found_text(found: Option<&Sha256Hex>) -> String {
    found.map_or_else(|| "no image of that role".to_owned(), |sha256| format!("sha256:{sha256}"))
}

impl Explain for FrozenError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        let (Self::Unknown { of } | Self::Differs { of, .. } | Self::NewRole { of, .. }) = self;
        let Of { profile, release, arch } = &**of;
        let command = format!("`builder hash --profile {profile} --release {release} --arch {arch} --write`");
        Some(match self {
            Self::Unknown { .. } => format!("build without `--frozen`, then {command} and commit {FILE}"),
            _ => format!(
                "if the inputs were to change, {command} and commit {FILE}; else find out who changed them"
            ),
        })
    }
}

/// What a project has on record of a profile's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRecord {
    of: Of,
    /// The hashes.
    pub images: Hashes,
}

impl OnRecord {
    /// Whether images are those on record.
    ///
    /// # Errors
    /// [`FrozenError`] with the first that is not.
    pub fn check(&self, images: &Hashes) -> Result<(), FrozenError> {
        let of = Box::new(self.of.clone());
        for (role, sha256) in &self.images {
            let found = images.get(role);
            if found != Some(sha256) {
                let (role, expected, found) = (role.clone(), sha256.clone(), found.cloned());
                return Err(FrozenError::Differs { of, role, expected, found });
            }
        }
        match images.keys().find(|role| !self.images.contains_key(*role)) {
            Some(role) => Err(FrozenError::NewRole { of, role: role.clone() }),
            None => Ok(()),
        }
    }
}

impl ImagesLock {
    /// Reads that of a project; one without has nothing on record.
    ///
    /// # Errors
    /// [`InputError`] with file, line and key.
    pub fn load(project: &Path) -> Result<Self, InputError> {
        let path = path(project);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(InputError::Unreadable(error)),
        }
    }

    /// Validates the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`ImagesLock::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, InputError> {
        let wrong = |message: String, hint: &str| InputError::Wrong {
            path: path.to_owned(),
            line: 1,
            message,
            hint: Some(hint.to_owned()),
        };
        let Written { version, image } = input::parse(path, text)?;
        if version != VERSION {
            let message = format!("`version` is {version}; this builder reads version {VERSION}");
            return Err(wrong(message, "use the builder that wrote it"));
        }
        let mut known = BTreeMap::new();
        for WrittenImage { profile, release, arch, role, content_sha256 } in image {
            let of = Of { profile, release, arch };
            let images: &mut Hashes = known.entry(of).or_default();
            if images.insert(role.clone(), content_sha256).is_some() {
                let message = format!("an image of `{role}` stands twice");
                return Err(wrong(
                    message,
                    "remove one of the two, or write both anew with `builder hash --profile P --write`",
                ));
            }
        }
        Ok(Self(known))
    }

    /// What is on record of some images.
    ///
    /// # Errors
    /// [`FrozenError::Unknown`] when nothing is.
    pub fn of(&self, of: Of) -> Result<OnRecord, FrozenError> {
        match self.0.get(&of) {
            Some(images) => Ok(OnRecord { images: images.clone(), of }),
            None => Err(FrozenError::Unknown { of: Box::new(of) }),
        }
    }

    /// Puts images on record, in the place of those that were.
    pub fn record(&mut self, of: Of, images: Hashes) {
        self.0.insert(of, images);
    }

    /// The file's text, sorted.
    #[must_use]
    pub fn to_text(&self) -> String {
        let images = self.0.iter().flat_map(|(of, images)| images.iter().map(move |image| (of, image)));
        let images = images.map(|(of, (role, content_sha256))| WrittenImage {
            profile: of.profile.clone(),
            release: of.release.clone(),
            arch: of.arch,
            role: role.clone(),
            content_sha256: content_sha256.clone(),
        });
        let written = Written { version: VERSION, image: images.collect() };
        // Texts and a number can always be written.
        format!("{HEAD}{}", toml::to_string(&written).unwrap_or_default())
    }

    /// Writes that of a project.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, project: &Path) -> Result<()> {
        Ok(public(&path(project), self.to_text().as_bytes())?)
    }
}

fn path(project: &Path) -> PathBuf {
    project.join(FILE)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Hashes, ImagesLock, Of};
    use crate::ground::arch::Arch;
    use crate::ground::error::Explain;

    fn of(profile: &str) -> Of {
        Of { profile: profile.to_owned(), release: "v1.37".to_owned(), arch: Arch::Amd64 }
    }

    fn hashes(images: &[(&str, &str)]) -> Hashes {
        images.iter().map(|(role, digits)| ((*role).to_owned(), digits.repeat(32).parse().unwrap())).collect()
    }

    #[test]
    fn what_is_recorded_is_read_again() {
        let mut lock = ImagesLock::default();
        lock.record(of("two"), hashes(&[("worker", "ab"), ("control-plane", "cd")]));
        lock.record(of("one"), hashes(&[("single", "00")]));
        let text = lock.to_text();
        insta::assert_snapshot!(text);
        assert_eq!(ImagesLock::parse(Path::new("images.lock"), &text).unwrap(), lock);
    }

    #[test]
    fn what_is_not_on_record_is_named() {
        let mut lock = ImagesLock::default();
        lock.record(of("two"), hashes(&[("worker", "ab"), ("control-plane", "cd")]));
        let check = |profile: &str, images: &[(&str, &str)]| {
            lock.of(of(profile)).and_then(|it| it.check(&hashes(images)))
        };
        check("two", &[("worker", "ab"), ("control-plane", "cd")]).unwrap();
        let texts = [
            check("two", &[("worker", "ac"), ("control-plane", "cd")]),
            check("two", &[("worker", "ab")]),
            check("two", &[("worker", "ab"), ("control-plane", "cd"), ("etcd", "ef")]),
            check("one", &[("single", "ab")]),
        ]
        .map(|outcome| {
            let error = outcome.unwrap_err();
            format!("{error}\nhint: {}\n", error.hint().unwrap())
        });
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let entry = "[[image]]\nprofile = \"p\"\nrelease = \"r\"\narch = \"amd64\"\nrole = \"w\"\ncontent-sha256 = \"HASH\"\n"
            .replace("HASH", &"0a".repeat(32));
        let parse = |text: &str| ImagesLock::parse(Path::new("images.lock"), text).unwrap_err().to_string();
        let texts = [
            "version = 2\n".to_owned(),
            format!("version = 1\n{entry}{entry}"),
            format!("version = 1\n{}", entry.replace("0a0a", "0A0A")),
            format!("version = 1\n{}", entry.replace("amd64", "mips")),
            format!("version = 1\n{}", entry.replace("role", "rôle")),
            format!("version = 1\nfrozen = true\n{entry}"),
            "[[image]]".to_owned(),
        ]
        .map(|text| parse(&text));
        insta::assert_snapshot!(texts.join("\n"));
    }
}
