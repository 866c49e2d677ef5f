//! The chapters of "Kubernetes the hard way", with what Kiln makes of each and what shows it on a running machine.

use std::path::Path;

use serde::Deserialize;

use crate::ground::error::InputError;
use crate::ground::input;

/// Where the guide is.
pub const GUIDE: &str = "https://github.com/kelseyhightower/kubernetes-the-hard-way";

/// The profile with the guide's machines.
pub const PROFILE: &str = "kthw";

/// The number of its chapters, which count from 1.
pub const STEPS: usize = 13;

/// The chapters in their order.
const TEXT: &str = include_str!("guide.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Guide {
    step: Vec<Step>,
}

/// A chapter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is about.
    pub title: String,
    /// Its page, in the guide's folder `docs`.
    pub page: String,
    /// What Kiln makes of it.
    pub kiln: String,
    /// What shows that on running machines.
    #[serde(default)]
    pub see: Vec<See>,
}

/// Commands that are typed on a machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct See {
    /// What they show.
    pub what: String,
    /// The machine, a node of [`PROFILE`].
    pub on: String,
    /// The commands, each for itself.
    pub commands: Vec<String>,
}

/// The chapters, the first one first.
///
/// # Errors
/// [`InputError`] when the text of this builder is wrong.
pub fn steps() -> Result<Vec<Step>, InputError> {
    Ok(input::parse::<Guide>(Path::new("guide.toml"), TEXT)?.step)
}

#[cfg(test)]
mod tests {
    use super::{STEPS, steps};

    #[test]
    fn every_chapter_is_there() {
        let steps = steps().unwrap();
        assert_eq!(steps.len(), STEPS);
        for (index, step) in steps.iter().enumerate() {
            assert!(step.page.starts_with(&format!("{:02}-", index + 1)), "{}", step.page);
        }
    }
}
