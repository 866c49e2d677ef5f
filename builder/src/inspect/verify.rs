//! Whether an image is what its report says: its bytes, its content without the identities, its structure down to the
//! bytes of every file; and, where asked, that no secret lies on it.
//!
//! The report is `cluster.json` with `SHA256SUMS`, beside the image. A check that cannot be made fails.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use crate::disk::changes::Changes;
use crate::disk::content_sha256;
use crate::disk::file::DiskRange;
use crate::disk::layout::IDENTITY_TYPE;
use crate::ground::error::{Error, Result};
use crate::ground::hash::sha256_of_file;
use crate::inspect::files::{self, shown};
use crate::inspect::secrets::{self, Found};
use crate::inspect::table::Kind;
use crate::inspect::{Image, certificates};
use crate::results::cluster::{ClusterJson, ImageJson};
use crate::results::report::SHA256SUMS;

/// What is checked besides the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Nothing: images with the identities of their nodes hold secrets.
    Allowed,
    /// None may lie anywhere on the disk.
    None,
    /// None may lie outside of the identity partition.
    InIdentities,
}

/// What was found out about an image.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The image.
    pub path: PathBuf,
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

impl Verdict {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    fn note(&mut self, name: &'static str, outcome: Result<String, String>) {
        let ok = outcome.is_ok();
        let (Ok(found) | Err(found)) = outcome;
        self.checks.push(Check { name, ok, found });
    }
}

/// Checks an image.
///
/// # Errors
/// Only when the image cannot be opened at all; what is wrong with it is in the verdict.
pub fn verify(path: &Path, allowed: Secrets) -> Result<Verdict> {
    let image = Image::open(path)?;
    let mut verdict = Verdict { path: path.to_owned(), checks: Vec::new() };
    match report(path) {
        Ok((report, sums)) => {
            verdict.note("file", bytes(path, &report, &sums));
            verdict.note("content", content(&image, &report));
        }
        Err(fact) => verdict.note("report", Err(fact)),
    }
    verdict.note("table", table(&image));
    verdict.note("files", all_files(&image));
    if allowed != Secrets::Allowed {
        verdict.note("secrets", no_secrets(&image, allowed));
    }
    Ok(verdict)
}

/// What the report says of an image, and the text of the sums.
fn report(path: &Path) -> Result<(ImageJson, String), String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let cluster = ClusterJson::load(folder).map_err(|error| format!("no report: {error}"))?;
    let name = path.file_name().unwrap_or_default();
    let report = cluster.images.into_iter().find(|image| image.path == Path::new(name));
    let report = report.ok_or_else(|| "no report: cluster.json beside it does not name it".to_owned())?;
    let sums = fs::read_to_string(folder.join(SHA256SUMS)).map_err(|error| format!("no report: {error}"))?;
    Ok((report, sums))
}

fn bytes(path: &Path, report: &ImageJson, sums: &str) -> Result<String, String> {
    let found = sha256_of_file(path).map_err(|error| error.to_string())?;
    if found != report.sha256.to_string() {
        return Err(format!("sha256:{found}, and cluster.json says sha256:{}", report.sha256));
    }
    let line = format!("{found}  {}", report.path.display());
    if !sums.lines().any(|it| it == line) {
        return Err(format!("{SHA256SUMS} has no line `{line}`"));
    }
    Ok(format!("sha256:{found}, as cluster.json and {SHA256SUMS} say"))
}

fn content(image: &Image, report: &ImageJson) -> Result<String, String> {
    let found = content_sha256(&image.disk, &Changes::new()).map_err(|error| Error::from(error).fact())?;
    let found = hex::encode(found);
    if found == report.content_sha256.to_string() {
        Ok(format!("sha256:{found} without the identities, as cluster.json says"))
    } else {
        Err(format!(
            "sha256:{found} without the identities, and cluster.json says sha256:{}",
            report.content_sha256
        ))
    }
}

fn table(image: &Image) -> Result<String, String> {
    let partitions = match image.table.partitions.len() {
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    };
    match (image.table.kind, image.table.copies_agree) {
        (Kind::Gpt, Some(true)) => Ok(format!("a GPT with {partitions}, both copies alike")),
        (Kind::Gpt, _) => Err("the two copies of the GPT are not alike".to_owned()),
        (Kind::Mbr, _) => Ok(format!("an MBR with {partitions}")),
        (Kind::None, _) => Ok("none: the disk is one file system".to_owned()),
    }
}

/// Reads every byte of every file.
fn all_files(image: &Image) -> Result<String, String> {
    let (mut count, mut size) = (0, 0);
    for (partition, _) in image.partitions().filter(|(_, content)| content.is_ext()) {
        let root = image.root(Some(partition.number)).map_err(|error| error.fact())?;
        for (path, _) in root.files.iter().filter(|(_, node)| node.kind == files::Kind::File) {
            let read = root.fs.read(path).and_then(|mut reader| io::copy(&mut reader, &mut io::sink()));
            size += read.map_err(|error| format!("{}: {error}", shown(path)))?;
            count += 1;
        }
    }
    Ok(format!("{count} files of {} MiB were read", size >> 20))
}

fn no_secrets(image: &Image, allowed: Secrets) -> Result<String, String> {
    let (mut found, mut searched) = (Vec::new(), Vec::new());
    for (partition, content) in image.partitions() {
        let range = image.range(partition);
        let is_identity = partition.kind == IDENTITY_TYPE.to_string();
        if is_identity {
            if allowed == Secrets::None {
                found.extend(identities(&range).map_err(|error| error.to_string())?);
            }
            continue;
        }
        let secrets = if content.is_ext() {
            let root = image.root(Some(partition.number)).map_err(|error| error.fact())?;
            secrets::in_files(&range, &root.fs, &root.files)
        } else {
            secrets::in_bytes(&range)
        };
        let secrets = secrets.map_err(|error| error.to_string())?;
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for Found { kind, path, byte } in secrets {
            let place = match (path, byte) {
                (Some(path), _) => format!("{kind} in {path}"),
                (None, byte) => {
                    let byte = byte.unwrap_or_default();
                    format!("{kind} in no file, at byte {byte} of partition {}", partition.number)
                }
            };
            *places.entry(place).or_default() += 1;
        }
        found.extend(places.into_iter().map(|(place, count)| match count {
            1 => place,
            count => format!("{place} ({count} times)"),
        }));
        searched.push(partition.number.to_string());
    }
    if found.is_empty() {
        Ok(format!("none was found in partitions {}", searched.join(", ")))
    } else {
        Err(found.join("; "))
    }
}

/// The secret bytes of the identity partition, which lie from its begin to the end of its archive.
fn identities(partition: &DiskRange) -> io::Result<Option<String>> {
    let mut used = 0;
    let (mut reader, mut part, mut at) = (partition.clone(), vec![0; 1 << 20], 0_u64);
    loop {
        let length = reader.read(&mut part)?;
        if length == 0 {
            break;
        }
        if let Some(last) = part[..length].iter().rposition(|byte| *byte != 0) {
            used = at + last as u64 + 1;
        }
        at += length as u64;
    }
    if used == 0 {
        return Ok(None);
    }
    let (files, _) = certificates::of_identities(partition)?;
    let secret = files.iter().filter(|file| file.mode & 0o077 == 0).count();
    let (from, to) = (partition.start(), partition.start() + used - 1);
    Ok(Some(format!("{secret} secret files in the identity partition, bytes {from} to {to} of the disk")))
}
