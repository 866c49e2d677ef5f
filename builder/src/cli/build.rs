//! `builder build` and `builder fetch`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::global::{Global, SECRET, Target};
use crate::cli::prove;
use crate::cli::screen::{complain, say};
use crate::disk::{Compression, Encoding, Format};
use crate::ground::error::Result;
use crate::ground::offline;
use crate::ground::progress::Progress;
use crate::pipeline::{self, Built, Settings};
use crate::plan::Plan;
use crate::profile::Identity;
use crate::store::Store;

/// Arguments of `builder build`.
#[derive(Debug, Args)]
#[command(after_help = SECRET)]
pub(super) struct Build {
    #[command(flatten)]
    target: Target,
    /// Folder for the profile's folder
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// File with the cluster secret
    #[arg(long, value_name = "FILE", env = "KILN_SECRET", hide_env_values = true)]
    secret: Option<PathBuf>,
    /// Keys in the images or in seeds: baked or seed
    #[arg(long, value_enum, value_name = "WHERE", hide_possible_values = true)]
    identity: Option<Identity>,
    /// Write qcow2 (the default), raw, vmdk or vhdx
    #[arg(long, value_enum, default_value_t, hide_default_value = true, hide_possible_values = true)]
    format: Format,
    /// Compress qcow2 with zstd (the default), zlib or none
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true)]
    compression: Option<Compression>,
    /// Use no network: the store must have everything
    #[arg(long)]
    offline: bool,
    /// Make the images that images.lock has, or none
    #[arg(long)]
    frozen: bool,
    /// Build again and compare, as `builder prove` does
    #[arg(long, conflicts_with = "json")]
    check: bool,
    /// Print JSON instead of a line for each image
    #[arg(long)]
    json: bool,
}

/// Arguments of `builder fetch`.
#[derive(Debug, Args)]
pub(super) struct Fetch {
    #[command(flatten)]
    target: Target,
}

impl Build {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        if self.offline {
            // No build needs even this machine's own network, and no thread runs yet.
            offline::enforce();
        }
        let encoding = Encoding::new(self.format, self.compression)?;
        let plan = Plan::resolve(&global.request(&self.target))?;
        let settings = Settings {
            store: global.store()?,
            out: self.out,
            secret: self.secret,
            identity: self.identity.unwrap_or(plan.profile.options.identity),
            encoding,
            mirrors: global.mirrors(self.offline)?,
            offline: self.offline,
            frozen: self.frozen,
        };
        let progress = Progress::new();
        for warning in crate::plan::advice::of(&plan, &crate::ground::progress::today()) {
            progress.line(&warning);
        }
        let built = pipeline::build(&plan, &settings, &progress)?;
        let times = progress.times();
        if self.json {
            say(&json(&built, &times))?;
        } else {
            for image in &built.images {
                say(&format!("sha256:{}  {}\n", image.sha256, built.folder.join(&image.file).display()))?;
            }
            complain(&summary(&times, progress.elapsed()));
        }
        if self.check {
            return prove::of_build(&plan, &built.folder, &settings);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// `done in 71.3 s: fetching 12.0 s, …`: where the time went.
fn summary(times: &[(String, Duration)], total: Duration) -> String {
    let stages: Vec<String> =
        times.iter().map(|(stage, took)| format!("{stage} {:.1} s", took.as_secs_f64())).collect();
    match stages.as_slice() {
        [] => "nothing had changed".to_owned(),
        stages => format!("done in {:.1} s: {}", total.as_secs_f64(), stages.join(", ")),
    }
}

fn json(built: &Built, times: &[(String, Duration)]) -> String {
    let images: Vec<_> = built
        .images
        .iter()
        .map(|image| {
            serde_json::json!({
                "role": image.role,
                "path": built.folder.join(&image.file),
                "size": image.size,
                "sha256": image.sha256,
                "content_sha256": image.content_sha256,
            })
        })
        .collect();
    let stages: Vec<_> = times
        .iter()
        .map(|(stage, took)| serde_json::json!({ "stage": stage, "seconds": took.as_secs_f64() }))
        .collect();
    format!("{:#}\n", serde_json::json!({ "version": 1, "images": images, "stages": stages }))
}

impl Fetch {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let plan = Plan::resolve(&global.request(&self.target))?;
        let store = Store::open(&global.store()?)?;
        let mirrors = global.mirrors(false)?;
        let (items, images, local) =
            (plan.items(&mirrors), plan.registry_images(&mirrors), plan.local_files());
        let builds = plan.go_builds();
        let modules = crate::go::of_builds(&plan.lock, &builds).count();
        let count = items.len() + images.len() + local.len() + modules;
        crate::fetch::local::admit(&store, &local)?;
        let progress = Progress::new();
        crate::fetch::fetch(&store, items, false, &progress)?;
        crate::oci::fetch(&store, &images, false, &progress)?;
        crate::go::fetch(&plan.project, &store, &plan.lock, &builds, false, &progress)?;
        complain(&format!("the {count} files of `{}` are in the store", plan.profile.name));
        Ok(ExitCode::SUCCESS)
    }
}
