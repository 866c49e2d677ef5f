//! `builder hash`: the content hashes that a profile's images have, without building them.

use std::process::ExitCode;

use clap::Args;

use crate::cli::global::{Global, Target};
use crate::cli::screen::{complain, say, say_json};
use crate::ground::error::{Class, Explain, Result};
use crate::ground::progress::Progress;
use crate::plan::Plan;
use crate::reach;
use crate::results::images_lock::{FILE, Hashes, ImagesLock, Of};
use crate::store::Store;

/// Where they come from.
const NOTES: &str = "\
The store knows the hash of what was built there of the same inputs; images.lock
has those that were written to it.";

/// Arguments of `builder hash`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Hash {
    #[command(flatten)]
    target: Target,
    /// Write what the store knows to images.lock
    #[arg(long)]
    write: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Nothing was built of these inputs.
#[derive(Debug, thiserror::Error)]
#[error("nobody knows the hash of the image of `{role}`: it was not built yet{besides}")]
struct Unknown {
    role: String,
    profile: String,
    besides: &'static str,
}

impl Explain for Unknown {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some(format!("`builder build --profile {profile}`, then ask again", profile = self.profile))
    }
}

impl Hash {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let plan = Plan::resolve(&global.request(&self.target))?;
        let mut record = ImagesLock::load(&plan.project)?;
        let of = Of::plan(&plan);
        let on_record = record.of(of.clone()).map(|it| it.images).unwrap_or_default();
        let built = built(&plan, global)?;
        let unknown =
            |known: &Hashes| plan.roles.iter().find(|role| !known.contains_key(&role.name)).cloned();
        let besides = if self.write { "" } else { ", and images.lock does not have it" };
        let lacks = |role: Option<crate::role::Role>| match role {
            Some(role) => Err(Unknown { role: role.name, profile: self.target.profile.clone(), besides }),
            None => Ok(()),
        };
        if self.write {
            lacks(unknown(&built))?;
            record.record(of, built.clone());
            record.save(&plan.project)?;
            complain(&format!("{} images are in {FILE}", built.len()));
        }
        // What the inputs make is nearer to the truth than what was written down once.
        let known: Hashes = on_record.into_iter().chain(built.clone()).collect();
        lacks(unknown(&known))?;
        let known = plan.roles.iter().filter_map(|role| known.get_key_value(&role.name));
        if self.json {
            let images: Vec<_> = known
                .map(|(role, sha256)| {
                    let from = if built.contains_key(role) { "store" } else { FILE };
                    serde_json::json!({ "role": role, "content_sha256": sha256, "from": from })
                })
                .collect();
            say_json(&serde_json::json!({ "version": 1, "images": images }))?;
        } else {
            say(&known.map(|(role, sha256)| format!("sha256:{sha256}  {role}\n")).collect::<String>())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the store knows; where there is none, nothing.
fn built(plan: &Plan, global: &Global) -> Result<Hashes> {
    let root = global.store()?;
    if !root.exists() {
        return Ok(Hashes::new());
    }
    reach::content(plan, &Store::look(&root)?, &Progress::new())
}
