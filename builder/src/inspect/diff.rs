//! In which parts two disks differ: table, partitions, file systems, packages, and files by what is said of each.
//!
//! Two disks without a difference here have the same bytes: what is found in no part is told by its place. What a file
//! holds is never printed, since it may be a secret.

mod bytes;
mod difference;
mod files;

use std::collections::BTreeMap;
use std::io;

use crate::disk::file::DiskRange;
use crate::ground::error::Result;
use crate::inspect::content::Content;
pub use crate::inspect::diff::difference::{Area, Difference};
use crate::inspect::diff::difference::{CONTENT, Fields, Named, fields, things};
use crate::inspect::error::InspectError;
use crate::inspect::system::packages::{self, Owners};
use crate::inspect::system::programs;
use crate::inspect::table::{Kind, Partition};
use crate::inspect::{Image, Root, certificates};

/// Compares two disks.
///
/// # Errors
/// When one of them is damaged.
pub fn diff(first: &Image, second: &Image) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    found.extend(fields(Area::Disk, "disk", &of_disk(first), &of_disk(second)));
    let (mine, theirs) = (numbered(first), numbered(second));
    found.extend(things(Area::Partition, &of_partitions(&mine), &of_partitions(&theirs)));
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

/// The partitions by their numbers, with what they hold.
type Numbered<'a> = BTreeMap<usize, (&'a Partition, &'a Content)>;

fn numbered(image: &Image) -> Numbered<'_> {
    image.partitions().map(|(partition, content)| (partition.number, (partition, content))).collect()
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

fn of_partitions(partitions: &Numbered<'_>) -> Named {
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
        let open = |side: Side<'_>| side.0.root(Some(side.1.number));
        // What is not read here is compared as bytes.
        let (Ok(mine_in), Ok(theirs_in)) = (open(first), open(second)) else { return Ok(vec![differs]) };
        let brought = (installed(&mine_in), installed(&theirs_in));
        let (Ok((packages, programs)), Ok((other_packages, other_programs))) = brought else {
            return Ok(vec![differs]);
        };
        found.extend(things(Area::Package, &packages, &other_packages));
        found.extend(things(Area::Program, &programs, &other_programs));
        found.extend(files::differences(&mine_in, &theirs_in).map_err(damaged(first))?);
        found.extend(bytes::superblock(&name, &mine, &theirs).map_err(damaged(first))?);
    } else if first.1.is_identity() && second.1.is_identity() {
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

/// The packages and the programs of a file system.
fn installed(root: &Root) -> io::Result<(Named, Named)> {
    let owners = Owners::read(&root.fs, &root.files)?;
    let packages = packages::installed(&root.fs, &root.files)?;
    let packages = packages.into_iter().map(|it| (it.name, BTreeMap::from([("version", it.version)])));
    let programs = programs::without_owner(&root.fs, &root.files, &owners)?;
    let programs = programs.into_iter().map(|it| {
        let said = [("version", it.version), ("compiler", it.go)];
        (it.path, said.into_iter().map(|(field, said)| (field, said.unwrap_or_default())).collect())
    });
    Ok((packages.collect(), programs.collect()))
}

/// The files of an identity partition, and the certificates in it.
fn identities(partition: &DiskRange) -> io::Result<(Named, Named)> {
    let found = certificates::of_identities(partition)?;
    let files = found.files.into_iter().map(|file| {
        let fields = [("mode", format!("{:04o}", file.mode)), ("size", file.size.to_string())];
        (format!("{}:{}", file.node, file.path), [(CONTENT, file.sha256)].into_iter().chain(fields).collect())
    });
    let certificates = found.certificates.into_iter().map(|it| {
        let fields = [("subject", it.subject), ("issuer", it.issuer), ("ends", it.ends)];
        (it.path, BTreeMap::from(fields))
    });
    Ok((files.collect(), certificates.collect()))
}
