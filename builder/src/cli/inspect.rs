//! `builder inspect`: what is in a disk image, and its files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::BinaryBytes;

use crate::cli::screen::{complain, say, say_json};
use crate::ground::error::Result;
use crate::inspect::extract::{self, Copied};
use crate::inspect::system::units::State;
use crate::inspect::system::{System, packages::Owners};
use crate::inspect::table::Kind;
use crate::inspect::{Held, Image, Inspection};

/// What is read, and how much of it is told.
const READS: &str = "\
IMAGE is a raw disk or a qcow2 file of any program, with a GPT, an MBR or no
table; its files are those of ext2, ext3 or ext4. Nothing is mounted.";

/// Arguments of `builder inspect`.
#[derive(Debug, Args)]
#[command(after_help = READS)]
pub(super) struct Inspect {
    /// A disk image
    image: PathBuf,
    /// A path in it: a directory is listed, a file is printed
    path: Option<OsString>,
    /// Copy what is at PATH to this new file or folder
    #[arg(long, value_name = "FILE", requires = "path")]
    out: Option<PathBuf>,
    /// Partition of PATH [default: the largest with files]
    #[arg(long, value_name = "NUMBER", requires = "path")]
    partition: Option<usize>,
    /// Print JSON, with every package and unit
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> Result<ExitCode> {
        let image = Image::open(&self.image)?;
        let Some(path) = self.path else {
            let found = Inspection::of(&image)?;
            if self.json {
                say_json(&found)?
            } else {
                say(&text(&found))?
            }
            return Ok(ExitCode::SUCCESS);
        };
        let root = image.root(self.partition)?;
        let wanted = extract::find(&image, &root, &path)?;
        let itself = || root.files.get_key_value(&wanted).map(|entry| vec![entry]);
        if let Some(out) = self.out {
            let Copied { files, left_out } = extract::copy(&root, &wanted, &out)?;
            let left_out = if left_out == 0 {
                String::new()
            } else {
                format!("; {left_out} devices, pipes and sockets were left out")
            };
            complain(&format!("{files} files were written to {}{left_out}", out.display()));
        } else if let Some(entries) = extract::list(&root, &wanted).or_else(|| itself().filter(|_| self.json))
        {
            let owners = Owners::read(&root.fs, &root.files)?;
            let entries: Vec<_> =
                entries.into_iter().map(|(path, node)| extract::Entry::of(path, node, &owners)).collect();
            let lines = || entries.iter().map(|entry| format!("{entry}\n")).collect::<String>();
            if self.json { say_json(&entries)? } else { say(&lines())? }
        } else {
            match extract::print(&image, &root, &wanted, &mut io::stdout().lock()) {
                Err(error) if error.is_broken_pipe() => {}
                outcome => outcome?,
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(found: &Inspection) -> String {
    let format = found.format.to_string();
    let mut text = format!(
        "{}: {format}, {} of file, {} of disk\n",
        found.path.display(),
        BinaryBytes(found.file_size),
        BinaryBytes(found.size)
    );
    let id = found.id.as_deref().unwrap_or_default();
    let table = match found.table {
        Kind::Gpt if found.copies_agree == Some(false) => format!("GPT {id}, whose copies DIFFER"),
        Kind::Gpt => format!("GPT {id}"),
        Kind::Mbr => format!("MBR {id}"),
        Kind::None => "no partitions".to_owned(),
    };
    let boot = match (found.boot.bios, found.boot.efi) {
        (Some(loader), true) => format!("{loader} for a BIOS, and an EFI system partition"),
        (Some(loader), false) => format!("{loader} for a BIOS"),
        (None, true) => "an EFI system partition".to_owned(),
        (None, false) => "no boot loader".to_owned(),
    };
    text += &format!("{table}; {boot}\n\n");
    text +=
        &format!("{:>3}  {:>10}  {:>10}  {:20}  {:14}  {}\n", "#", "start", "size", "type", "label", "holds");
    found.partitions.iter().for_each(|partition| text += &line(partition));
    if let Some(why) = &found.unread {
        text += &format!("\nits files are not read: {why}\n");
    }
    if found.snapshots > 0 {
        text += &format!("\n{} snapshots, which are not looked into\n", found.snapshots);
    }
    if let Some(system) = &found.system {
        text += &installed(system);
    }
    if !found.identities.is_empty() {
        let nodes: BTreeSet<&str> = found.identities.iter().map(|file| file.node.as_str()).collect();
        let nodes: Vec<&str> = nodes.into_iter().collect();
        text += &format!("\nidentities: {} files for {}\n", found.identities.len(), nodes.join(", "));
    }
    if !found.certificates.is_empty() {
        text += &format!("\ncertificates ({})\n", found.certificates.len());
        for certificate in &found.certificates {
            text += &format!("  {}  {}  {}\n", certificate.ends, certificate.subject, certificate.path);
        }
    }
    text
}

fn line(partition: &Held) -> String {
    let kind = partition.type_name.unwrap_or(&partition.kind);
    let content = &partition.content;
    let mut holds = content.kind.unwrap_or("-").to_owned();
    content.label.iter().chain(&content.uuid).for_each(|more| holds += &format!(" {more}"));
    let line = format!(
        "{:>3}  {:>10}  {:>10}  {kind:20}  {:14}  {holds}",
        partition.number,
        BinaryBytes(partition.start).to_string(),
        BinaryBytes(partition.size).to_string(),
        partition.name
    );
    format!("{}\n", line.trim_end())
}

fn installed(system: &System) -> String {
    let mut text = String::new();
    let name = system.name.as_deref().unwrap_or("no distribution");
    let kernels = match system.kernels.as_slice() {
        [] => "no kernel".to_owned(),
        kernels => format!("kernel {}", kernels.join(", ")),
    };
    text += &format!("\n{name}, {kernels}\n");
    let count = &system.files;
    text += &format!(
        "{} packages, {} files of {}, {} directories, {} links\n",
        system.packages.len(),
        count.regular,
        BinaryBytes(count.bytes),
        count.directories,
        count.links
    );
    if !system.programs.is_empty() {
        text += &format!("\nprograms of no package ({})\n", system.programs.len());
        for program in &system.programs {
            let said = [&program.package, &program.version, &program.go].into_iter().flatten();
            let said: Vec<&str> = said.map(String::as_str).collect();
            text += format!(
                "  {:40}  {:>10}  {}",
                program.path,
                BinaryBytes(program.size).to_string(),
                said.join(" ")
            )
            .trim_end();
            text.push('\n');
        }
    }
    let enabled: Vec<&str> = system
        .units
        .iter()
        .filter(|unit| unit.state == State::Enabled)
        .map(|unit| unit.name.as_str())
        .collect();
    if !enabled.is_empty() {
        text += &format!("\nenabled units ({} of {})\n", enabled.len(), system.units.len());
        enabled.iter().for_each(|name| text += &format!("  {name}\n"));
    }
    text
}
