//! In which parts two disks differ: table, partitions, file systems, packages, and files by what is said of each.
//!
//! Two disks without a difference here have the same bytes: what is found in no part is told by its place. What a file
//! holds is never printed, since it may be a secret.

mod bytes;
mod difference;
mod files;

use std::collections::BTreeMap;

use crate::disk::layout::IDENTITY_TYPE;
use crate::ground::error::Result;
use crate::inspect::content::Content;
pub use crate::inspect::diff::difference::{Area, Difference};
use crate::inspect::diff::difference::{CONTENT, Fields, fields, things};
use crate::inspect::error::InspectError;
use crate::inspect::files::{FileSystem, Files};
use crate::inspect::system::System;
use crate::inspect::table::{Kind, Partition};
use crate::inspect::{Image, certificates};

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
        for (name, range) in first.outside() {
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
        let open = |side: Side<'_>| -> Result<(FileSystem, System, Files)> {
            let fs = FileSystem::open(&side.0.range(side.1)).map_err(damaged(side))?;
            let files = fs.walk().map_err(damaged(side))?;
            let system = System::of(&fs, &files).map_err(damaged(side))?;
            Ok((fs, system, files))
        };
        // What is not read here is compared as bytes.
        let (Ok((fs, system, files)), Ok((other_fs, other_system, other_files))) =
            (open(first), open(second))
        else {
            return Ok(vec![differs]);
        };
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
