//! Whether an image is what its report says: its bytes, its content without the identities, its structure down to the
//! bytes of every file; and, where asked, that no secret lies on it.
//!
//! The report is `cluster.json` with `SHA256SUMS`, beside the image. A check that cannot be made fails.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use crate::disk::changes::Changes;
use crate::disk::content_sha256;
use crate::disk::file::DiskRange;
use crate::ground::error::{Error, Result};
use crate::ground::hash::sha256_of_file;
use crate::inspect::certificates::{self, Identities};
use crate::inspect::files::{self, shown};
use crate::inspect::secrets::{self, Found};
use crate::inspect::table::Kind;
use crate::inspect::{Image, Root};
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

/// The file systems of an image by their partitions' numbers; why one is not read.
type Roots = BTreeMap<usize, Result<Root, String>>;

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
    // By their partitions' numbers, opened once for both checks.
    let readable = image.partitions().filter(|(_, content)| content.is_ext()).map(|(it, _)| it.number);
    let roots =
        readable.map(|number| (number, image.root(Some(number)).map_err(|error| error.fact()))).collect();
    verdict.note("files", all_files(&roots));
    if allowed != Secrets::Allowed {
        verdict.note("secrets", no_secrets(&image, &roots, allowed));
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
fn all_files(roots: &Roots) -> Result<String, String> {
    let (mut count, mut size) = (0, 0);
    for root in roots.values() {
        let root = root.as_ref().map_err(String::clone)?;
        for (path, _) in root.files.iter().filter(|(_, node)| node.kind == files::Kind::File) {
            let read = root.fs.read(path).and_then(|mut reader| io::copy(&mut reader, &mut io::sink()));
            size += read.map_err(|error| format!("{}: {error}", shown(path)))?;
            count += 1;
        }
    }
    Ok(format!("{count} files of {} MiB were read", size >> 20))
}

fn no_secrets(image: &Image, roots: &Roots, allowed: Secrets) -> Result<String, String> {
    let mut found = match image.disk.snapshots() {
        0 => Vec::new(),
        count => vec![format!("{count} snapshots, which are not looked into")],
    };
    let failed = |error: io::Error| error.to_string();
    for (name, range) in image.outside() {
        let secrets = secrets::in_bytes(&image.disk.range(range)).map_err(failed)?;
        found.extend(places(secrets, &name));
    }
    for (partition, _) in image.partitions() {
        let (range, name) = (image.range(partition), format!("partition {}", partition.number));
        let secrets = if partition.is_identity() {
            let (secret, rest) = identities(&range).map_err(failed)?;
            found.extend(secret.filter(|_| allowed == Secrets::None));
            secrets::in_bytes(&rest)
        } else if let Some(root) = roots.get(&partition.number) {
            let root = root.as_ref().map_err(String::clone)?;
            secrets::in_files(&range, &root.fs, &root.files)
        } else {
            secrets::in_bytes(&range)
        };
        found.extend(places(secrets.map_err(failed)?, &name));
    }
    if found.is_empty() { Ok("none was found on the disk".to_owned()) } else { Err(found.join("; ")) }
}

/// Where secrets were found, each place once.
fn places(secrets: Vec<Found>, within: &str) -> Vec<String> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for Found { kind, path, byte } in secrets {
        let place = match (path, byte) {
            (Some(path), _) => format!("{kind} in {path}"),
            (None, byte) => format!("{kind} in no file, at byte {} of {within}", byte.unwrap_or_default()),
        };
        *places.entry(place).or_default() += 1;
    }
    let counted = places.into_iter().map(|(place, count)| match count {
        1 => place,
        count => format!("{place} ({count} times)"),
    });
    counted.collect()
}

/// The secret bytes of the identity partition, which lie from its begin to the end of its archive; and what is behind that.
fn identities(partition: &DiskRange) -> io::Result<(Option<String>, DiskRange)> {
    let Identities { files, end, .. } = certificates::of_identities(partition)?;
    let end = partition.start() + end.min(partition.size());
    let rest = partition.within(end..partition.start() + partition.size());
    let secret = files.iter().filter(|file| file.mode & 0o077 == 0).count();
    let from = partition.start();
    let told = || {
        format!("{secret} secret files in the identity partition, bytes {from} to {} of the disk", end - 1)
    };
    Ok(((!files.is_empty()).then(told), rest))
}
