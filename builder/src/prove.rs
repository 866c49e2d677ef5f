//! Whether images are what their inputs make: they are built again, of the downloads alone, and compared with their report
//! and with each other, down to the first byte that differs. It does not own how images are built or compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;
use tempfile::TempDir;

use crate::disk::Encoding;
use crate::ground::error::{Error, Result};
use crate::ground::hash::{Sha256Hex, sha256_of_file};
use crate::ground::progress::Progress;
use crate::inspect::Image;
use crate::inspect::diff::{Difference, diff};
use crate::mirror::Mirrors;
use crate::pipeline::{self, Built, Settings};
use crate::pki::secret::ClusterSecret;
use crate::plan::Plan;
use crate::profile::Identity;
use crate::results::provenance::{Statement, Subject};
use crate::results::report;
use crate::store::Store;
use crate::store::apart::Apart;

/// How images are built again.
#[derive(Debug, Clone)]
pub struct Rebuild {
    /// The store; only downloads are taken from it, and compiled programs unless `compile`.
    pub store: PathBuf,
    /// Where packages come from.
    pub mirrors: Mirrors,
    /// Forbids the network.
    pub offline: bool,
    /// The cluster secret; `secrets/<cluster>.key` of the project when absent. Without either, what depends on it is not
    /// compared.
    pub secret: Option<PathBuf>,
    /// Compiles programs again too, which takes minutes; else they are the ones whose hashes the lockfile has.
    pub compile: bool,
    /// A folder in which the results stay.
    pub out: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Proof {
    /// Whether every image is the one that its inputs make.
    #[serde(rename = "match")]
    pub matches: bool,
    /// The images.
    pub images: Vec<Proven>,
    /// Inputs that are not those of the report, by name: what the report has, and what is here.
    pub other_inputs: BTreeMap<String, [Option<String>; 2]>,
}

/// What came of one image.
#[derive(Debug, Serialize)]
pub struct Proven {
    /// Its file's name.
    pub name: String,
    /// The content hash of the report.
    pub reported: Sha256Hex,
    /// The content hash of what was built again; none when no node has the role any more.
    pub rebuilt: Option<Sha256Hex>,
    /// What is known of the file.
    pub file: FileState,
    /// In what the file and the one that was built again differ.
    pub differences: Vec<Difference>,
}

/// An image file beside the one that was built again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// They have the same bytes.
    Same,
    /// Only its report is here, and says that it had the same bytes.
    Absent,
    /// It is not the one that its report says.
    NotAsReported,
    /// They have other bytes.
    Differs,
    /// They hold the identities of other secrets, or there is no secret to make them with: not compared.
    OtherSecret,
}

impl Proven {
    /// Whether the image is the one that its inputs make.
    #[must_use]
    pub fn matches(&self) -> bool {
        self.rebuilt.as_ref() == Some(&self.reported)
            && !matches!(self.file, FileState::NotAsReported | FileState::Differs)
    }
}

/// The statement about the images in a folder of results; `report` is the folder or a file in it.
///
/// # Errors
/// When there is none, or a wrong one.
pub fn statement(report: &Path) -> Result<(PathBuf, Statement)> {
    let folder = match report.parent() {
        Some(parent) if report.is_file() => parent.to_owned(),
        _ => report.to_owned(),
    };
    let statement = Statement::load(&folder)?;
    Ok((folder, statement))
}

/// Builds again what a statement is about, and compares.
///
/// # Errors
/// When it cannot be built; what differs is no error.
pub fn prove(
    plan: &Plan,
    (folder, statement): (&Path, &Statement),
    how: &Rebuild,
    progress: &Progress,
) -> Result<Proof> {
    let parameters = statement.parameters();
    let (_temporary, out) = place(folder, how.out.as_deref())?;
    fs::create_dir_all(&out)?;
    // Without the secret the images are built for seeds: their content is the same.
    let known = pipeline::secret_file(plan, how.secret.as_deref());
    let has_secret = how.secret.is_some() || known.exists();
    let identity = if has_secret { parameters.identity } else { Identity::Seed };
    let nobodys = TempDir::new()?;
    let secret = if has_secret { known } else { nobodys.path().join("secret.key") };
    if !has_secret {
        ClusterSecret::load_or_create(&secret)?;
    }
    let store = Store::open(&how.store)?;
    let apart =
        Apart::of(&store, |step| step.starts_with("module-") || !how.compile && step.starts_with("source-"))?;
    let settings = Settings {
        store: apart.root().to_owned(),
        out,
        secret: Some(secret),
        identity,
        encoding: Encoding::new(parameters.format, parameters.compression)?,
        mirrors: how.mirrors.clone(),
        offline: how.offline,
        frozen: false,
    };
    let built = pipeline::build(plan, &settings, progress)?;
    let comparable = identity == parameters.identity
        && (identity == Identity::Seed || is_of_one_secret(folder, &built.folder));
    let task = progress.task("comparing");
    let compare = |subject| compared(subject, folder, &built, comparable);
    let images = statement.subject.iter().map(compare).collect::<Result<Vec<_>>>()?;
    task.finish();
    let here = Statement::load(&built.folder)?;
    Ok(Proof {
        matches: images.iter().all(Proven::matches) && images.len() == built.images.len(),
        images,
        other_inputs: statement.other_inputs(&here),
    })
}

/// Where the results go: to a folder that stays, or to one beside the others that does not. They may be secret.
fn place(folder: &Path, named: Option<&Path>) -> Result<(Option<TempDir>, PathBuf)> {
    if let Some(named) = named {
        return Ok((None, named.to_owned()));
    }
    let above = fs::canonicalize(folder)?.parent().map(Path::to_owned).unwrap_or_default();
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".prove-");
    // Results may lie where nobody can write.
    let temporary = temporary.tempdir_in(above).or_else(|_| temporary.tempdir())?;
    let path = temporary.path().to_owned();
    Ok((Some(temporary), path))
}

/// The administrator's kubeconfig is signed by a key of the secret, so it is the same for the same secret.
fn is_of_one_secret(one: &Path, other: &Path) -> bool {
    let read = |folder: &Path| fs::read(folder.join(report::KUBECONFIG)).ok();
    read(one).is_none_or(|kubeconfig| Some(kubeconfig) == read(other))
}

fn compared(subject: &Subject, folder: &Path, built: &Built, comparable: bool) -> Result<Proven> {
    let reported = subject.annotations.content_sha256.clone();
    let file = folder.join(&subject.name);
    let digest = subject.digest.get("sha256");
    let rebuilt = built.images.iter().find(|image| image.role == subject.annotations.role);
    let found = file.exists().then(|| sha256_of_file(&file)).transpose()?;
    let is_as_reported =
        found.as_ref().is_none_or(|found| Some(found.as_str()) == digest.map(Sha256Hex::as_str));
    let has_same_bytes = rebuilt.is_some_and(|image| Some(&image.sha256) == digest);
    let state = match (is_as_reported, comparable, has_same_bytes) {
        (false, _, _) => FileState::NotAsReported,
        (_, false, _) => FileState::OtherSecret,
        (_, _, false) => FileState::Differs,
        _ if found.is_none() => FileState::Absent,
        _ => FileState::Same,
    };
    let mut proven = Proven {
        name: subject.name.clone(),
        reported,
        rebuilt: rebuilt.map(|image| image.content_sha256.clone()),
        file: state,
        differences: Vec::new(),
    };
    if let (false, Some(rebuilt), true) = (proven.matches(), rebuilt, found.is_some()) {
        proven.differences = differences(&file, &built.folder.join(&rebuilt.file))?;
    }
    Ok(proven)
}

/// What differs between two files; of a format that cannot be looked into, nothing.
fn differences(one: &Path, other: &Path) -> Result<Vec<Difference>, Error> {
    let (Ok(one), Ok(other)) = (Image::open(one), Image::open(other)) else { return Ok(Vec::new()) };
    diff(&one, &other)
}
