//! The folder of an unpacked bundle: the builder in it takes its project, its store and what is built from there.

use std::path::PathBuf;

use fs_err as fs;
use serde::Deserialize;

use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::input;
use crate::plan::Plan;

/// The file that tells the program beside it that the folder is a bundle.
pub const MARK: &str = "kiln-bundle.toml";

/// An unpacked bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its folder: the project, with `store/` in it.
    pub folder: PathBuf,
    /// What it was made for.
    pub made_for: MadeFor,
}

/// What a bundle was made for: that builds without further arguments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeFor {
    /// Name of a profile.
    pub profile: String,
    /// Name of a release of the lock.
    pub release: String,
    /// Architecture of the images.
    pub arch: Arch,
}

impl Home {
    /// The bundle that this program lies in, if it does.
    ///
    /// # Errors
    /// When the mark is not what `bundle` wrote.
    pub fn around() -> Result<Option<Self>> {
        let program = std::env::current_exe()?;
        let Some(folder) = program.parent() else { return Ok(None) };
        let mark = folder.join(MARK);
        if !mark.is_file() {
            return Ok(None);
        }
        let made_for = input::parse(&mark, &fs::read_to_string(&mark)?)?;
        Ok(Some(Self { folder: folder.to_owned(), made_for }))
    }
}

/// The text of the mark.
pub(super) fn mark(plan: &Plan) -> String {
    let (profile, release, arch) = (&plan.profile.name, &plan.cluster.release, plan.arch);
    format!(
        "# `builder` in this folder takes its project and its store from here, and this release and architecture\n\
         # when it is asked for this profile.\n\
         profile = \"{profile}\"\nrelease = \"{release}\"\narch = \"{arch}\"\n"
    )
}
