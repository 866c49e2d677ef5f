//! `builder prove`: whether images are what their inputs make.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cli::diff;
use crate::cli::global::{Global, Target};
use crate::cli::screen::{say, say_json};
use crate::ground::error::Result;
use crate::ground::offline;
use crate::ground::progress::Progress;
use crate::pipeline::Settings;
use crate::plan::Plan;
use crate::prove::{FileState, Proof, Proven, Rebuild, prove, statement};

/// What is taken over, and the exit codes.
const NOTES: &str = "\
Of the store only downloads are used, and programs whose hashes are the lock's.
Without the cluster secret what depends on it is not compared.
Exit codes: 0 every image is what its inputs make, 1 one is not, 2 trouble.";

/// Differences that are told of one image.
const TOLD: usize = 10;

/// Arguments of `builder prove`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Prove {
    /// A profile's folder of results, or provenance.json of one
    #[arg(value_name = "REPORT")]
    report: PathBuf,
    /// Another profile than the report's
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
    /// File with the cluster secret
    #[arg(long, value_name = "FILE", env = "KILN_SECRET", hide_env_values = true)]
    secret: Option<PathBuf>,
    /// Compile all programs again too
    #[arg(long)]
    compile: bool,
    /// Keep what was built again in this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Use no network: the store must have everything
    #[arg(long)]
    offline: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        if self.offline {
            offline::enforce();
        }
        let (folder, statement) = statement(&self.report)?;
        let parameters = statement.parameters();
        let target = Target {
            profile: self.profile.unwrap_or_else(|| parameters.profile.clone()),
            release: Some(parameters.release.clone()),
            arch: Some(parameters.arch),
            lockfile: self.lockfile,
        };
        let plan = Plan::resolve(&global.request(&target))?;
        let how = Rebuild {
            store: global.store()?,
            mirrors: global.mirrors(self.offline)?,
            offline: self.offline,
            secret: self.secret,
            compile: self.compile,
            out: self.out,
        };
        let proof = prove(&plan, (&folder, &statement), &how, &Progress::new())?;
        report(&proof, self.json)
    }
}

/// Tells what came of it. The exit code is 0 when every image is what its inputs make.
pub(super) fn report(proof: &Proof, json: bool) -> Result<ExitCode> {
    if json {
        say_json(proof)?
    } else {
        say(&text(proof))?
    }
    Ok(ExitCode::from(u8::from(!proof.matches)))
}

fn text(proof: &Proof) -> String {
    let mut text: String = proof.images.iter().map(of_image).collect();
    if !proof.matches && !proof.other_inputs.is_empty() {
        text += "inputs that are not those of the report\n";
        for (name, values) in &proof.other_inputs {
            let [reported, here] = values.each_ref().map(|value| value.as_deref().unwrap_or("(none)"));
            text += &format!("  {name}: {reported} → {here}\n");
        }
    }
    text
}

fn of_image(image: &Proven) -> String {
    let verdict = if image.matches() { "MATCH  " } else { "DIFFERS" };
    let mut text = format!("{verdict}  {}\n", image.name);
    text += &match &image.rebuilt {
        Some(rebuilt) if *rebuilt == image.reported => format!("  content  sha256:{rebuilt}\n"),
        Some(rebuilt) => {
            format!("  content  reported sha256:{}, built again sha256:{rebuilt}\n", image.reported)
        }
        None => "  content  no node of the profile has its role\n".to_owned(),
    };
    text += match image.file {
        FileState::Same => "  file     the same bytes\n",
        FileState::Absent => "  file     not here; its report says the same bytes\n",
        FileState::NotAsReported => "  file     not the one that its report says\n",
        FileState::Differs => "  file     other bytes\n",
        FileState::OtherSecret => {
            "  file     not compared: it holds the identities of a secret that is not here\n"
        }
    };
    let told = image.differences.iter().take(TOLD);
    text += &told.map(|it| format!("  differs  {}\n", diff::line(it))).collect::<String>();
    if let more @ 1.. = image.differences.len().saturating_sub(TOLD) {
        text += &format!("  differs  in {more} more places\n");
    }
    text
}

/// Builds again what was built just now.
pub(super) fn of_build(plan: &Plan, folder: &Path, settings: &Settings) -> Result<ExitCode> {
    let (folder, statement) = statement(folder)?;
    let how = Rebuild {
        store: settings.store.clone(),
        mirrors: settings.mirrors.clone(),
        offline: settings.offline,
        secret: settings.secret.clone(),
        compile: false,
        out: None,
    };
    report(&prove(plan, (&folder, &statement), &how, &Progress::new())?, false)
}
