//! Finding a profile by its name, and reading it.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::ground::error::InputError;
use crate::ground::input::{self, nearest};
use crate::profile::check;
use crate::profile::model::Profile;

/// The folder of a project's profiles.
pub const PROFILES: &str = "profiles";

impl Profile {
    /// Reads and checks a profile: a name below `profiles/`, or the path of a file.
    ///
    /// # Errors
    /// [`InputError`] with the file, the line and the key.
    pub fn load(project: &Path, name: &str) -> Result<Self, InputError> {
        let (folder, path) = (project.join(PROFILES), Self::path(project, name));
        let text = input::read(&path, || missing(&folder, &path, name))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::parse(&path, stem, &text)
    }

    /// Where a profile is, by its name or path.
    #[must_use]
    pub fn path(project: &Path, name: &str) -> PathBuf {
        match name.contains('/') || name.ends_with(".toml") {
            true => PathBuf::from(name),
            false => project.join(PROFILES).join(format!("{name}.toml")),
        }
    }

    /// Checks the text of a profile; `path` is for messages.
    ///
    /// # Errors
    /// As [`Profile::load`].
    pub fn parse(path: &Path, name: String, text: &str) -> Result<Self, InputError> {
        let raw = input::parse(path, text)?;
        check::resolve(path, text, name, raw)
    }
}

fn missing(folder: &Path, path: &Path, name: &str) -> InputError {
    let names = names(folder);
    let close = nearest(name, names.iter().map(String::as_str));
    let hint = match close {
        Some(close) => format!("did you mean `--profile {close}`? there are: {}", names.join(", ")),
        None if names.is_empty() => "run in Kiln's folder, or name the file of a profile".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    InputError::Missing { what: "profile", path: path.to_owned(), hint }
}

/// The profiles of a folder, sorted.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let tomls = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        tomls.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}
