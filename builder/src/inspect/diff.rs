//! In which parts two disks differ: table, partitions, file systems, packages, and files by what is said of each.
//!
//! Two disks without a difference here have the same bytes: what is found in no part is told by its place. What a file
//! holds is never printed, since it may be a secret.

mod bytes;
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Serialize;

use crate::disk::layout::{IDENTITY_TYPE, SECTOR};
use crate::ground::error::Result;
use crate::inspect::content::Content;
use crate::inspect::error::InspectError;
use crate::inspect::files::FileSystem;
use crate::inspect::system::System;
use crate::inspect::table::{Kind, Partition};
use crate::inspect::{Image, certificates};

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

/// The field whose values are not told: a sum of bytes that may be secret.
const CONTENT: &str = "content";

/// What is compared of one thing: fields with their values, as people read them.
type Fields = BTreeMap<&'static str, String>;

impl Difference {
    fn of(area: Area, name: &str, field: &str, first: impl Display, second: impl Display) -> Self {
        let (first, second) = (Some(first.to_string()), Some(second.to_string()));
        Self { area, name: name.to_owned(), field: Some(field.to_owned()), first, second }
    }

    /// Only one of the disks has it.
    fn only(area: Area, name: &str, first: Option<String>, second: Option<String>) -> Self {
        Self { area, name: name.to_owned(), field: None, first, second }
    }
}

/// Compares two disks.
///
/// # Errors
/// When one of them is damaged.
pub fn diff(first: &Image, second: &Image) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    found.extend(fields(Area::Disk, "disk", &of_disk(first), &of_disk(second)));
    let number = |image: &Image| -> BTreeMap<usize, (Partition, Content)> {
        image.partitions().map(|(it, content)| (it.number, (it.clone(), content.clone()))).collect()
    };
    let (mine, theirs) = (number(first), number(second));
    let (named, other): (BTreeMap<_, _>, BTreeMap<_, _>) = (of_partitions(&mine), of_partitions(&theirs));
    found.extend(things(Area::Partition, &named, &other));
    // Equal tables have equal bytes; of others the bytes are told above.
    if found.is_empty() {
        for (name, range) in outside(first) {
            found.extend(bytes::difference(
                &name,
                &first.disk.range(range.clone()),
                &second.disk.range(range),
            )?);
        }
    }
    for (number, (partition, content)) in &mine {
        let Some((other, its)) = theirs.get(number) else { continue };
        found.extend(partition_contents((first, partition, content), (second, other, its))?);
    }
    found.sort_by(|one, other| (one.area, &one.name).cmp(&(other.area, &other.name)));
    Ok(found)
}

fn of_disk(image: &Image) -> Fields {
    let kind = match image.table.kind {
        Kind::Gpt => "GPT",
        Kind::Mbr => "MBR",
        Kind::None => "none",
    };
    BTreeMap::from([
        ("size", image.disk.size().to_string()),
        ("table", kind.to_owned()),
        ("id", image.table.id.clone().unwrap_or_default()),
    ])
}

fn of_partitions(partitions: &BTreeMap<usize, (Partition, Content)>) -> BTreeMap<String, Fields> {
    let named = partitions.values().map(|(partition, content)| {
        let fields = BTreeMap::from([
            ("type", partition.kind.clone()),
            ("id", partition.id.clone()),
            ("label", partition.name.clone()),
            ("start", partition.range.start.to_string()),
            ("size", (partition.range.end - partition.range.start).to_string()),
            ("holds", content.kind.unwrap_or("nothing known").to_owned()),
            ("uuid", content.uuid.clone().unwrap_or_default()),
            ("label of its file system", content.label.clone().unwrap_or_default()),
        ]);
        (place(partition), fields)
    });
    named.collect()
}

/// A partition for people.
fn place(partition: &Partition) -> String {
    match partition {
        Partition { number: 0, .. } => "the disk".to_owned(),
        Partition { number, .. } => format!("partition {number}"),
    }
}

/// What lies outside of all partitions, with a name.
fn outside(image: &Image) -> Vec<(String, std::ops::Range<u64>)> {
    let mut ranges: Vec<_> = image.table.partitions.iter().map(|partition| partition.range.clone()).collect();
    ranges.sort_by_key(|range| range.start);
    let (mut at, mut found) = (0, Vec::new());
    for range in ranges.into_iter().chain(std::iter::once(image.disk.size()..image.disk.size())) {
        if at < range.start {
            let name = match at {
                0 if range.start > SECTOR => vec![
                    ("the first sector".to_owned(), 0..SECTOR),
                    ("before the first partition".to_owned(), SECTOR..range.start),
                ],
                _ => vec![(format!("between partitions, from byte {at} on"), at..range.start)],
            };
            found.extend(name);
        }
        at = at.max(range.end);
    }
    found
}

type Side<'a> = (&'a Image, &'a Partition, &'a Content);

fn partition_contents(first: Side<'_>, second: Side<'_>) -> Result<Vec<Difference>> {
    let (name, mine, theirs) = (place(first.1), first.0.range(first.1), second.0.range(second.1));
    let damaged = |side: Side<'_>| {
        let path = side.0.disk.path().to_owned();
        move |source| InspectError::damaged(&path, source)
    };
    let Some(differs) = bytes::difference(&name, &mine, &theirs)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if first.2.is_ext() && second.2.is_ext() {
        let open = |side: Side<'_>| -> Result<(FileSystem, System, crate::inspect::system::Files)> {
            let fs = FileSystem::open(&side.0.range(side.1)).map_err(damaged(side))?;
            let files = fs.walk().map_err(damaged(side))?;
            let system = System::of(&fs, &files).map_err(damaged(side))?;
            Ok((fs, system, files))
        };
        let ((fs, system, files), (other_fs, other_system, other_files)) = (open(first)?, open(second)?);
        found.extend(things(Area::Package, &packages(&system), &packages(&other_system)));
        found.extend(things(Area::Program, &programs(&system), &programs(&other_system)));
        let compared = files::differences((&fs, &files), (&other_fs, &other_files));
        found.extend(compared.map_err(damaged(first))?);
        found.extend(bytes::superblock(&name, &mine, &theirs).map_err(damaged(first))?);
    } else if first.1.kind == IDENTITY_TYPE.to_string() && first.1.kind == second.1.kind {
        let of = |side: Side<'_>| identities(&side.0.range(side.1)).map_err(damaged(side));
        let ((files, certificates), (other_files, other_certificates)) = (of(first)?, of(second)?);
        found.extend(things(Area::Certificate, &certificates, &other_certificates));
        found.extend(things(Area::Identity, &files, &other_files));
    }
    // What was found explains the bytes that differ; with nothing found, they are all that is known.
    if found.is_empty() {
        found.push(differs);
    }
    Ok(found)
}

fn packages(system: &System) -> BTreeMap<String, Fields> {
    let packages = system.packages.iter();
    packages.map(|it| (it.name.clone(), BTreeMap::from([("version", it.version.clone())]))).collect()
}

fn programs(system: &System) -> BTreeMap<String, Fields> {
    let programs = system.programs.iter().map(|program| {
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        let fields = BTreeMap::from([("version", said(&program.version)), ("compiler", said(&program.go))]);
        (program.path.clone(), fields)
    });
    programs.collect()
}

type Named = BTreeMap<String, Fields>;

fn identities(partition: &crate::disk::file::DiskRange) -> std::io::Result<(Named, Named)> {
    let (files, found) = certificates::of_identities(partition)?;
    let files = files.into_iter().map(|file| {
        let fields = [("mode", format!("{:04o}", file.mode)), ("size", file.size.to_string())];
        (format!("{}:{}", file.node, file.path), [(CONTENT, file.sha256)].into_iter().chain(fields).collect())
    });
    let certificates = found.into_iter().map(|it| {
        let fields = [("subject", it.subject), ("issuer", it.issuer), ("ends", it.ends)];
        (it.path, BTreeMap::from(fields))
    });
    Ok((files.collect(), certificates.collect()))
}

/// What two sets of things have each alone, and the fields in which those of both differ.
fn things(
    area: Area,
    first: &BTreeMap<String, Fields>,
    second: &BTreeMap<String, Fields>,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let both = names.into_iter().flat_map(|name| match (first.get(name), second.get(name)) {
        (Some(mine), Some(theirs)) => fields(area, name, mine, theirs),
        (mine, theirs) => vec![Difference::only(area, name, mine.map(line), theirs.map(line))],
    });
    both.collect()
}

/// What is said of a thing that only one has.
fn line(fields: &Fields) -> String {
    let said = fields.iter().filter(|(field, value)| **field != CONTENT && !value.is_empty());
    said.map(|(field, value)| format!("{field} {value}")).collect::<Vec<_>>().join(", ")
}

fn fields(area: Area, name: &str, first: &Fields, second: &Fields) -> Vec<Difference> {
    let differ = first.iter().filter_map(|(field, mine)| {
        let theirs = second.get(field)?;
        (mine != theirs).then(|| match *field {
            CONTENT => {
                Difference { field: Some(CONTENT.to_owned()), ..Difference::only(area, name, None, None) }
            }
            field => Difference::of(area, name, field, mine, theirs),
        })
    });
    differ.collect()
}
