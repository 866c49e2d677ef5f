//! Why there is no plan.

use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain};
use crate::role::packages::BASE;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The lock has no such release.
    #[error("there is no release `{name}` in the lockfile")]
    UnknownRelease {
        /// What was asked for.
        name: String,
        /// What there is.
        hint: String,
    },
    /// A role is not for this architecture.
    #[error("the role `{role}` cannot be built for {arch}")]
    Architecture {
        /// The role.
        role: String,
        /// What was asked for.
        arch: Arch,
    },
    /// The lock has no packages for this architecture.
    #[error("the lockfile has no packages of the root `{root}` for {arch}, which images of {images} need")]
    NoPackages {
        /// The root.
        root: String,
        /// Of which architecture they are.
        arch: Arch,
        /// What was asked for.
        images: Arch,
    },
    /// The lock was not updated since a recipe asks for packages.
    #[error(
        "the lockfile has no root `{root}`, which a recipe of the role `{role}` asks for by its `packages`"
    )]
    NoRoot {
        /// The root.
        root: String,
        /// The role.
        role: String,
    },
    /// The release lacks a component that a role installs.
    #[error("the release `{release}` has no component `{component}`, which the role `{role}` installs")]
    NoComponent {
        /// The release.
        release: String,
        /// What it lacks.
        component: String,
        /// Who wants it.
        role: String,
        /// The last release that has it.
        newest: Option<String>,
    },
    /// A component lacks a file that a role installs.
    #[error(
        "the component `{component}` of the release `{release}` has no `{file}` for {arch}, which the role `{role}` installs"
    )]
    NoFile {
        /// The release.
        release: String,
        /// The component.
        component: String,
        /// What it lacks.
        file: String,
        /// What was asked for.
        arch: Arch,
        /// Who wants it.
        role: String,
        /// The build that makes the component.
        build: Option<String>,
    },
}

impl Explain for PlanError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownRelease { hint, .. } => Some(hint.clone()),
            Self::Architecture { .. } => Some("build with `--arch amd64`".to_owned()),
            Self::NoPackages { root, arch, .. } => Some(format!(
                "add `{arch}` to `architectures` of `[root.{root}]`, then `builder lock update`"
            )),
            Self::NoRoot { .. } => Some(format!("builder lock update {BASE}")),
            Self::NoComponent { newest, .. } => {
                newest.as_ref().map(|it| format!("build with `--release {it}`"))
            }
            Self::NoFile { build, arch, .. } => {
                build.as_ref().map(|build| format!("builder lock compile {build} --arch {arch}"))
            }
        }
    }
}
