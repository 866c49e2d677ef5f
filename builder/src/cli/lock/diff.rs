//! `builder lock diff`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cli::global::Global;
use crate::cli::screen::say;
use crate::ground::error::Result;
use crate::lock::Changes;
use crate::lock::images::{Affected, affected};
use crate::lockfile::Lock;

/// How to compare with what was committed, and the exit code.
const NOTES: &str = "\
  git show HEAD:lockfile.toml | builder lock diff -

Exit codes: 0 the same, 1 different or your input is wrong, 2 trouble.";

/// Arguments of `builder lock diff`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Diff {
    /// The lockfile as it was; - is standard input
    old: PathBuf,
    /// The lockfile as it is [default: that of Kiln's folder]
    new: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let old = load(&self.old)?;
        let new = load(&global.lockfile(self.new))?;
        let (changes, images) =
            (Changes::between(&old, &new), affected(&global.project, &global.recipes(), &old, &new)?);
        let sizes = [old.bytes(), new.bytes()];
        say(&if self.json { json(&changes, &images, sizes) } else { text(&changes, &images, sizes) })?;
        Ok(ExitCode::from(u8::from(!changes.is_empty())))
    }
}

fn load(path: &Path) -> Result<Lock> {
    if path != Path::new("-") {
        return Ok(Lock::load(path)?);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(Lock::parse(Path::new("standard input"), &text)?)
}

fn text(changes: &Changes, images: &[Affected], [before, after]: [u64; 2]) -> String {
    let mut text = changes.to_string();
    if before != after {
        text.push_str(&format!("downloads of known size: {before} → {after} bytes\n"));
    }
    for Affected { release, role, why } in images {
        let why =
            if why.is_empty() { "only one of them has what it installs".to_owned() } else { why.join(", ") };
        text.push_str(&format!("image {role} of {release}: {why}\n"));
    }
    text
}

fn json(changes: &Changes, images: &[Affected], [before, after]: [u64; 2]) -> String {
    let changes: Vec<_> = changes
        .iter()
        .map(|(what, before, after)| serde_json::json!({ "what": what, "before": before, "after": after }))
        .collect();
    let object = serde_json::json!({
        "version": 1, "changes": changes, "bytes": { "before": before, "after": after }, "images": images,
    });
    format!("{object:#}\n")
}
