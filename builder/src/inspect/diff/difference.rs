//! A difference, and how two sets of named things are compared. Where the things come from is others' business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Serialize;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of thing differs.
    pub area: Area,
    /// Which one: `partition 4 (kiln-root)`, a package, a path.
    pub name: String,
    /// What of it: `uuid`, `version`, `mtime`; none when only one disk has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the first disk has.
    pub first: Option<String>,
    /// What the second disk has.
    pub second: Option<String>,
}

/// The kinds of things that differ, from the whole to its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The disk as a whole.
    Disk,
    /// A partition, or its file system.
    Partition,
    /// A package of the distribution.
    Package,
    /// A program that no package brought.
    Program,
    /// A certificate.
    Certificate,
    /// A file of a node's identity.
    Identity,
    /// A file.
    File,
    /// Bytes that are in no file.
    Bytes,
}

/// The fields whose values are not told: sums of bytes that may be secret.
pub(super) const CONTENT: &str = "content";
pub(super) const ATTRIBUTES: &str = "values of attributes";

/// What is compared of one thing: fields with their values, as people read them.
pub(super) type Fields = BTreeMap<&'static str, String>;

/// Things by their names.
pub(super) type Named = BTreeMap<String, Fields>;

impl Difference {
    pub(super) fn of(area: Area, name: &str, field: &str, first: impl Display, second: impl Display) -> Self {
        let (first, second) = (Some(first.to_string()), Some(second.to_string()));
        Self { area, name: name.to_owned(), field: Some(field.to_owned()), first, second }
    }

    /// They differ in something that is not told.
    pub(super) fn untold(area: Area, name: &str, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..Self::only(area, name, None, None) }
    }

    /// Only one of the disks has it.
    pub(super) fn only(area: Area, name: &str, first: Option<String>, second: Option<String>) -> Self {
        Self { area, name: name.to_owned(), field: None, first, second }
    }
}

/// What two sets of things have each alone, and the fields in which those of both differ.
pub(super) fn things(area: Area, first: &Named, second: &Named) -> Vec<Difference> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let both = names.into_iter().flat_map(|name| match (first.get(name), second.get(name)) {
        (Some(mine), Some(theirs)) => fields(area, name, mine, theirs),
        (mine, theirs) => vec![Difference::only(area, name, mine.map(line), theirs.map(line))],
    });
    both.collect()
}

/// What is said of a thing that only one has.
fn line(fields: &Fields) -> String {
    let said =
        fields.iter().filter(|(field, value)| !matches!(**field, CONTENT | ATTRIBUTES) && !value.is_empty());
    said.map(|(field, value)| format!("{field} {value}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn fields(area: Area, name: &str, first: &Fields, second: &Fields) -> Vec<Difference> {
    let differ = first.iter().filter_map(|(field, mine)| {
        let theirs = second.get(field)?;
        (mine != theirs).then(|| match *field {
            hidden @ (CONTENT | ATTRIBUTES) => Difference::untold(area, name, hidden),
            field => Difference::of(area, name, field, mine, theirs),
        })
    });
    differ.collect()
}
