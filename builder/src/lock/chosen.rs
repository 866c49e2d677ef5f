//! Which parts of the lock an update resolves anew, by the names that people know them by.
//!
//! Packages of one suite are resolved together, so that no two of them are of different days: a name stands for its
//! whole suite.

use std::collections::BTreeSet;

use crate::ground::error::{Class, Explain};
use crate::ground::input::nearest;
use crate::lockfile::component::Component;
use crate::lockfile::{COMPONENTS, Lock};

/// This builder's own program in the images.
const FIRSTBOOT: &str = "firstboot";

/// What is resolved anew; the rest stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The suites.
    pub(super) suites: BTreeSet<String>,
    /// The builds of Go modules; those of all where it is none, as far as their recipes changed.
    pub(super) builds: Option<BTreeSet<String>>,
    /// Whether the hash of firstboot follows this builder.
    pub(super) firstboot: bool,
}

/// Why a name cannot be updated.
#[derive(Debug, thiserror::Error)]
pub enum ChosenError {
    /// A person pins it.
    #[error("`{name}` is no package: its files are pinned by address and checksum, or by path")]
    Pinned {
        /// The component.
        name: String,
    },
    /// There is nothing of this name.
    #[error("the lockfile has no component, suite, root or source `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        hint: String,
    },
}

impl Explain for ChosenError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Pinned { .. } => {
                "`builder lock outdated` says what is newer, `builder lock add` pins it with its checksum"
                    .to_owned()
            }
            Self::Unknown { hint, .. } => hint.clone(),
        })
    }
}

impl Chosen {
    /// Everything.
    pub(super) fn all(lock: &Lock) -> Self {
        Self { suites: lock.suite.keys().cloned().collect(), builds: None, firstboot: true }
    }

    /// What names stand for; none for everything.
    ///
    /// # Errors
    /// [`ChosenError`].
    pub(super) fn new(lock: &Lock, names: &[String]) -> Result<Self, ChosenError> {
        if names.is_empty() {
            return Ok(Self::all(lock));
        }
        let firstboot = names.iter().any(|name| name == FIRSTBOOT);
        let (mut suites, mut builds) = (BTreeSet::new(), BTreeSet::new());
        for name in names.iter().filter(|name| *name != FIRSTBOOT) {
            let own = builds_of(lock, name);
            match suites_of(lock, name) {
                Err(error) if own.is_empty() => return Err(error),
                found => suites.extend(found.unwrap_or_default()),
            }
            builds.extend(own);
        }
        Ok(Self { suites, builds: Some(builds), firstboot })
    }
}

/// The builds of Go modules that a name stands for: it is one, or a component of one.
fn builds_of(lock: &Lock, name: &str) -> BTreeSet<String> {
    let components = lock.release.values().filter_map(|release| release.component.get(name));
    let builds = components.filter_map(|component| match component {
        Component::Build { build } => Some(build.as_str()),
        _ => None,
    });
    let is_go = |build: &&str| lock.build.get(*build).is_some_and(|build| build.go().is_some());
    builds.chain([name]).filter(is_go).map(str::to_owned).collect()
}

/// The suites that a name stands for.
fn suites_of(lock: &Lock, name: &str) -> Result<BTreeSet<String>, ChosenError> {
    let mut found: BTreeSet<&String> = lock.suite.keys().filter(|suite| *suite == name).collect();
    found.extend(lock.root.get(name).map(|root| &root.suite));
    found.extend(lock.source.get(name).map(|source| &source.suite));
    let components = || lock.release.values().flat_map(|release| &release.component);
    let mut pinned = false;
    for (_, component) in components().filter(|(component, _)| *component == name) {
        match component {
            Component::Deb { .. } => found.extend(lock.root.get(COMPONENTS).map(|root| &root.suite)),
            Component::Build { build } => {
                let source = lock.build.get(build).and_then(|build| lock.source.get(build.source()?));
                found.extend(source.map(|source| &source.suite));
            }
            Component::Url(_) | Component::Path { .. } => pinned = true,
        }
    }
    if !found.is_empty() {
        return Ok(found.into_iter().cloned().collect());
    }
    if pinned {
        return Err(ChosenError::Pinned { name: name.to_owned() });
    }
    let mut known: BTreeSet<&str> = components().map(|(component, _)| component.as_str()).collect();
    known.extend(lock.suite.keys().chain(lock.root.keys()).chain(lock.source.keys()).map(String::as_str));
    known.extend(lock.build.iter().filter(|(_, build)| build.go().is_some()).map(|(name, _)| name.as_str()));
    known.insert(FIRSTBOOT);
    let all = || format!("there are: {}", known.iter().copied().collect::<Vec<_>>().join(", "));
    let hint = nearest(name, known.iter().copied()).map(|close| format!("did you mean `{close}`?"));
    Err(ChosenError::Unknown { name: name.to_owned(), hint: hint.unwrap_or_else(all) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Chosen;
    use crate::ground::error::Error;
    use crate::lockfile::Lock;

    fn chosen(names: &[&str]) -> Result<(Vec<String>, bool), String> {
        let lock = Lock::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../lockfile.toml")).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Chosen::new(&lock, &names)
            .map(|chosen| (chosen.suites.into_iter().collect(), chosen.firstboot))
            .map_err(|error| Error::from(error).to_string())
    }

    #[test]
    fn a_name_stands_for_its_suite() {
        let suites = |names: &[&str]| chosen(names).unwrap();
        let found = |names: &[&str], firstboot| {
            (names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), firstboot)
        };
        let all = suites(&[]);
        assert!(all.0.len() > 1 && all.1, "{all:?}");
        assert_eq!(suites(&["firstboot"]), found(&[], true));
        assert_eq!(suites(&["bookworm"]), found(&["bookworm"], false));
        assert_eq!(suites(&["base"]), found(&["trixie"], false));
        assert_eq!(suites(&["kubernetes", "firstboot"]), found(&["bookworm"], true));
        assert_eq!(suites(&["containerd", "go"]), found(&["bookworm", "trixie"], false));
    }

    #[test]
    fn what_people_pin_and_what_nobody_knows_is_refused() {
        insta::assert_snapshot!(chosen(&["crun"]).unwrap_err(), @r"
        `crun` is no package: its files are pinned by address and checksum, or by path

        hint: `builder lock outdated` says what is newer, `builder lock add` pins it with its checksum
        ");
        insta::assert_snapshot!(chosen(&["boockworm"]).unwrap_err(), @r"
        the lockfile has no component, suite, root or source `boockworm`

        hint: did you mean `bookworm`?
        ");
        let error = chosen(&["x"]).unwrap_err();
        assert!(error.ends_with("runc, skopeo, tools, trixie"), "{error}");
    }
}
