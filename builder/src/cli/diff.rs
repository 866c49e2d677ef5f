//! `builder diff`: in what two images differ.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::screen::{complain, say, say_json};
use crate::ground::error::Result;
use crate::inspect::Image;
use crate::inspect::diff::{Area, Difference, diff};

/// As diff(1) has it.
const CODES: &str = "Exit codes: 0 the disks have the same bytes, 1 they differ, 2 trouble.";

/// Arguments of `builder diff`.
#[derive(Debug, Args)]
#[command(after_help = CODES)]
pub(super) struct Diff {
    /// An image: a raw disk or a qcow2 file
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Another one
    #[arg(value_name = "B")]
    second: PathBuf,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self) -> Result<ExitCode> {
        let compared = Image::open(&self.first).and_then(|first| diff(&first, &Image::open(&self.second)?));
        let found = match compared {
            Ok(found) => found,
            // 1 means that they differ.
            Err(error) => {
                complain(&format!("error: {error}"));
                return Ok(ExitCode::from(2));
            }
        };
        if self.json {
            say_json(&found)?;
        } else {
            say(&text(&found))?;
        }
        Ok(ExitCode::from(u8::from(!found.is_empty())))
    }
}

/// What differs, below a line for each kind of thing.
fn text(found: &[Difference]) -> String {
    let mut areas: BTreeMap<Area, Vec<&Difference>> = BTreeMap::new();
    for difference in found {
        areas.entry(difference.area).or_default().push(difference);
    }
    let parts = areas.into_iter().map(|(area, differences)| {
        let lines = differences.iter().map(|difference| format!("  {}\n", line(difference)));
        format!("{} ({})\n{}", title(area), differences.len(), lines.collect::<String>())
    });
    parts.collect::<Vec<_>>().join("\n")
}

fn title(area: Area) -> &'static str {
    match area {
        Area::Disk => "disk",
        Area::Partition => "partitions",
        Area::Package => "packages",
        Area::Program => "programs",
        Area::Certificate => "certificates",
        Area::Identity => "files of identities",
        Area::File => "files",
        Area::Bytes => "bytes",
    }
}

/// A difference in a line.
pub(super) fn line(Difference { name, field, first, second, .. }: &Difference) -> String {
    match (field, first, second) {
        (Some(field), None, None) => format!("{name}: {field} differs"),
        (Some(field), first, second) => {
            let value = |value: &Option<String>| match value.as_deref() {
                None | Some("") => "(none)".to_owned(),
                Some(value) => value.to_owned(),
            };
            format!("{name}: {field}: {} → {}", value(first), value(second))
        }
        (None, Some(first), _) => format!("- {name} ({first})"),
        (None, None, second) => format!("+ {name} ({})", second.as_deref().unwrap_or_default()),
    }
}
