//! Finding things by what a person calls them.

use std::collections::BTreeSet;

use crate::explain::thing::Thing;
use crate::ground::error::{Class, Explain};
use crate::ground::input::nearest;

/// So many names that hold what was asked for are worth telling.
const TOLD: usize = 4;

/// Nothing is called so.
#[derive(Debug, thiserror::Error)]
#[error("the profile `{profile}` has no file, unit, certificate or flag `{name}`")]
pub struct Unknown {
    /// The profile.
    profile: String,
    /// What was asked for.
    name: String,
    /// What was probably meant.
    near: Vec<String>,
}

impl Explain for Unknown {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        let near: Vec<String> = self.near.iter().map(|name| format!("`{name}`")).collect();
        Some(match near.is_empty() {
            true => "`builder explain` lists what there is; other profiles have more".to_owned(),
            false => format!("did you mean {}?", near.join(" or ")),
        })
    }
}

impl Thing {
    /// The things with a name: a path with or without its first slash, a unit with or without `.service`, a certificate's label or
    /// file, a flag with or without its program and dashes.
    ///
    /// # Errors
    /// [`Unknown`] with the names that are near.
    pub fn named<'a>(things: &'a [Self], profile: &str, name: &str) -> Result<Vec<&'a Self>, Unknown> {
        let wanted = plain(name);
        let found: Vec<&Self> = things.iter().filter(|thing| thing.names().any(|it| it == wanted)).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let holding = things.iter().filter(|thing| thing.names().any(|it| it.contains(&wanted)));
        let holding: BTreeSet<&str> = holding.map(|thing| thing.name.as_str()).collect();
        let mut near: Vec<&str> = holding.into_iter().take(TOLD).collect();
        if near.is_empty() {
            let names: Vec<(String, &str)> =
                things.iter().flat_map(|it| it.names().map(|name| (name, it.name.as_str()))).collect();
            let closest = nearest(&wanted, names.iter().map(|(name, _)| name.as_str()));
            let of = names.iter().find(|(name, _)| Some(name.as_str()) == closest);
            near.extend(of.map(|(_, thing)| thing));
        }
        let near = near.into_iter().map(str::to_owned).collect();
        Err(Unknown { profile: profile.to_owned(), name: name.to_owned(), near })
    }

    fn names(&self) -> impl Iterator<Item = String> {
        [&self.name].into_iter().chain(&self.others).map(|name| plain(name))
    }
}

/// A name without what may be left out.
fn plain(name: &str) -> String {
    match name.split_once(':') {
        Some((program, flag)) => format!("{program}:{}", flag.trim_start_matches('-')),
        None => name.trim_start_matches(['/', '-']).to_owned(),
    }
}
