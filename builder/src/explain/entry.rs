//! `explain.toml`, beside the recipe whose files, units, certificates and flags it explains. No image depends on it, and a recipe
//! may be without one.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::explain::guide::STEPS;
use crate::ground::error::InputError;
use crate::ground::input;
use crate::role::Layer;

/// The name of the file.
pub const FILE: &str = "explain.toml";

/// What kind of thing something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A certificate, by its label.
    Certificate,
    /// A unit of systemd.
    Unit,
    /// A file or a link.
    File,
    /// An option of a program or a field of its configuration, `program:name`.
    Flag,
}

impl Kind {
    /// Its name for people, and that of its tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Unit => "unit",
            Self::File => "file",
            Self::Flag => "flag",
        }
    }
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    certificate: Vec<Entry>,
    #[serde(default)]
    unit: Vec<Entry>,
    #[serde(default)]
    file: Vec<Entry>,
    #[serde(default)]
    flag: Vec<Entry>,
}

/// What a table says of the things with its names.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// The names of what it explains; one that ends in `/` or `*` stands for all that begin with it.
    #[serde(skip_serializing)]
    names: Vec<Spanned<String>>,
    /// What it is, in a line.
    pub what: String,
    /// The chapter of the guide that makes it by hand.
    pub step: Option<usize>,
    /// Commands that make it by hand.
    pub by_hand: Option<String>,
    /// Who reads it; of units and flags that is plain.
    pub read_by: Option<String>,
    /// What breaks without it.
    pub without: String,
    /// Commands that show it on a machine that has it.
    #[serde(default)]
    pub see: Vec<String>,
    /// Who writes it when a machine boots, where no image has it.
    pub at_boot: Option<String>,
}

/// What is said of a thing.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The name, as it is written, that the thing has been found by.
    #[serde(skip)]
    pub pattern: String,
    /// The recipe that says it.
    pub recipe: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// Every table of some recipes.
pub(super) struct Explanations(Vec<(String, Kind, Entry)>);

impl Explanations {
    /// Reads those of recipes that have any.
    pub(super) fn load(layers: &[&Layer]) -> Result<Self, InputError> {
        let mut all = Vec::new();
        for layer in layers {
            let entries = entries(&layer.folder)?.into_iter();
            all.extend(entries.map(|(kind, entry)| (layer.name.clone(), kind, entry)));
        }
        Ok(Self(all))
    }

    /// What is said of a thing of a recipe, with its number: by an entry of that recipe before those of others, and by a longer name
    /// before shorter ones. Of several names the first that somebody explains counts.
    pub(super) fn of<'a>(
        &self,
        kind: Kind,
        names: impl IntoIterator<Item = &'a str>,
        own: Option<&str>,
    ) -> Option<(usize, Explanation)> {
        names.into_iter().find_map(|name| {
            let fitting = self.0.iter().enumerate().filter_map(|(index, (recipe, of_kind, entry))| {
                let pattern = Some(entry).filter(|_| *of_kind == kind)?.fitting(name)?;
                let rank = (own == Some(recipe), pattern == name, pattern.len());
                Some((Reverse(rank), index, pattern))
            });
            let (_, index, pattern) = fitting.min()?;
            let (recipe, _, entry) = &self.0[index];
            let (pattern, recipe, entry) = (pattern.to_owned(), recipe.clone(), entry.clone());
            Some((index, Explanation { pattern, recipe, entry }))
        })
    }

    /// The files of a recipe that machines write when they boot, and who does.
    pub(super) fn written_at_boot(&self, layer: &str) -> impl Iterator<Item = (&str, &str)> {
        let own = self.0.iter().filter(move |(recipe, ..)| recipe == layer).map(|(.., entry)| entry);
        own.filter_map(|entry| Some((entry, entry.at_boot.as_deref()?)))
            .flat_map(|(entry, writer)| entry.names().map(move |name| (name, writer)))
    }
}

impl Entry {
    /// The names of what it explains.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| name.get_ref().as_str())
    }

    /// The one of its names that a thing has.
    fn fitting(&self, name: &str) -> Option<&str> {
        self.names().find(|pattern| match pattern.strip_suffix('*').or(pattern.strip_suffix('/')) {
            Some(_) => name.starts_with(pattern.trim_end_matches('*')),
            None => name == *pattern,
        })
    }

    /// What is wrong with it, if anything.
    fn wrong(&self, kind: Kind) -> Option<&'static str> {
        let named = |is_good: fn(&str) -> bool| !self.names.is_empty() && self.names().all(is_good);
        let is_named = match kind {
            Kind::File => named(|name| name.starts_with('/')),
            Kind::Flag => named(|name| name.contains(':') && !name.contains("--")),
            Kind::Certificate | Kind::Unit => named(|name| !name.is_empty()),
        };
        let is_read = matches!(kind, Kind::Unit | Kind::Flag) || self.read_by.is_some();
        match (is_named, is_read, self.step.is_none_or(|step| (1..=STEPS).contains(&step))) {
            (false, ..) => Some("`names` are absolute paths of files, and `program:name` of flags"),
            (_, false, _) => Some("`read-by` is missing: who reads it"),
            (.., false) => Some("`step` is a chapter of the guide: 1 to 13"),
            _ => None,
        }
    }
}

/// The tables of a recipe's folder; none where there is no file.
///
/// # Errors
/// [`InputError`] with file and line.
pub fn entries(folder: &Path) -> Result<Vec<(Kind, Entry)>, InputError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(InputError::Unreadable)?;
    let Written { certificate, unit, file, flag } = input::parse(&path, &text)?;
    let tables =
        [(Kind::Certificate, certificate), (Kind::Unit, unit), (Kind::File, file), (Kind::Flag, flag)];
    let all: Vec<(Kind, Entry)> =
        tables.into_iter().flat_map(|(kind, tables)| tables.into_iter().map(move |it| (kind, it))).collect();
    let mut known = BTreeSet::new();
    for (kind, entry) in &all {
        let at = |name: &Spanned<String>, message: String| {
            Err(input::wrong(&path, &text, Some(name.span()), message, None))
        };
        if let Some(message) = entry.wrong(*kind) {
            let name = entry.names.first().cloned().unwrap_or_else(|| Spanned::new(0..0, String::new()));
            return at(&name, message.to_owned());
        }
        for name in &entry.names {
            if !known.insert((*kind, name.get_ref())) {
                return at(name, format!("`{}` is explained twice", name.get_ref()));
            }
        }
    }
    Ok(all)
}
