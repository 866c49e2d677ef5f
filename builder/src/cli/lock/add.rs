//! `builder lock add`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use fs_err as fs;

use crate::cli::global::Global;
use crate::cli::screen::{complain, say};
use crate::fetch::local::{self, LocalFile};
use crate::fetch::{self, shown};
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::hash::{Digest, Sha256Hex, of_file};
use crate::ground::progress::Progress;
use crate::lock::add::{AddError, Addition, Found, Take, add, add_image, published};
use crate::lockfile::Lock;
use crate::lockfile::component::with_arch;
use crate::mirror::Mirrors;
use crate::oci::{self, Wanted};
use crate::store::Store;

/// What is taken, and who vouches.
const NOTES: &str = "\
`{arch}` in URL, --checksums, --files and --folder stands for the architecture.
Without --checksums nobody but the server vouches for what came.
oci://REGISTRY/NAME:TAG adds a container image of the release, by its digest.";

/// Else it is too wide.
const USAGE: &str = "\
builder lock add [OPTIONS] --release <RELEASE> <COMPONENT> <URL>
       (--file <NAME> | --files <NAME=PATH>... | --folder <PATH>)
       builder lock add [OPTIONS] --release <RELEASE> <IMAGE> oci://<REFERENCE>";

/// Arguments of `builder lock add`.
#[derive(Debug, Args)]
#[command(after_help = NOTES, override_usage = USAGE, group = ArgGroup::new("take"))]
pub(in crate::cli) struct Add {
    /// Name of the component, new or with downloads; or of a new image
    component: String,
    /// Address of the file, or oci://REGISTRY/NAME:TAG
    url: String,
    /// The release that it belongs to
    #[arg(long, value_name = "RELEASE")]
    release: String,
    /// It is the file itself; its name in recipes
    #[arg(long, value_name = "NAME", group = "take")]
    file: Option<String>,
    /// A file of a tar.gz archive; again for another
    #[arg(long, value_name = "NAME=PATH", group = "take", value_parser = pair)]
    files: Vec<(String, String)>,
    /// Every file of a folder of a tar.gz archive
    #[arg(long, value_name = "PATH", group = "take")]
    folder: Option<String>,
    /// Address of the published checksums
    #[arg(long, value_name = "URL")]
    checksums: Option<String>,
    /// amd64 or arm64; again for another [default: amd64]
    #[arg(long, value_name = "ARCH", hide_possible_values = true)]
    arch: Vec<Arch>,
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    lockfile: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.to_owned())),
        _ => Err("it is not of the form NAME=PATH".to_owned()),
    }
}

impl Add {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let lockfile = global.lockfile(self.lockfile.clone());
        let text = Lock::read(&lockfile)?;
        let architectures = if self.arch.is_empty() { &[Arch::Amd64][..] } else { &self.arch };
        if let Some(reference) = self.url.strip_prefix("oci://") {
            return self.image(global, &lockfile, &text, reference, architectures);
        }
        let addition = self.addition()?;
        // What is wrong with the request is said before anything is downloaded.
        let nothing = Found { sha256: "0".repeat(64).parse().map_err(std::io::Error::other)?, size: 0 };
        let placeholder = architectures.iter().map(|arch| (*arch, nothing.clone())).collect();
        add(&lockfile, &text, &addition, &placeholder)?;
        let mirrors = Mirrors::known(global.debian_mirror.as_deref())?;
        let store = Store::open(&global.store()?)?;
        let mut found = BTreeMap::new();
        for arch in architectures {
            found.insert(*arch, self.fetch(&store, &mirrors, *arch)?);
        }
        let written = add(&lockfile, &text, &addition, &found)?;
        crate::lock::replace(&lockfile, &text, &written)?;
        for (arch, Found { sha256, .. }) in &found {
            say(&format!("sha256:{sha256}  {}\n", shown(&with_arch(&self.url, *arch))))?;
        }
        if self.checksums.is_none() {
            complain("note: nobody but the server vouches for this; compare the hash with a published one");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Adds a container image of a registry, which is then in the store for each architecture.
    fn image(
        &self,
        global: &Global,
        lockfile: &Path,
        text: &str,
        reference: &str,
        architectures: &[Arch],
    ) -> Result<ExitCode> {
        if self.file.is_some() || self.folder.is_some() || !self.files.is_empty() || self.checksums.is_some()
        {
            return Err(AddError::Take("of an image of a registry nothing can be chosen").into());
        }
        let name = (self.release.as_str(), self.component.as_str());
        let of_all = |digest: &Digest| -> BTreeMap<Arch, Digest> {
            architectures.iter().map(|arch| (*arch, digest.clone())).collect()
        };
        // What is wrong with the request is said before anything is downloaded.
        oci::parse(reference)?;
        let nothing = Digest::from("0".repeat(64).parse::<Sha256Hex>().map_err(std::io::Error::other)?);
        add_image(lockfile, text, name, reference, &of_all(&nothing))?;
        let mirrors = Mirrors::known(global.debian_mirror.as_deref())?;
        let (store, progress) = (Store::open(&global.store()?)?, Progress::new());
        let digest = oci::resolve(reference, &mirrors)?;
        // Pods use the tag; what it was when it was added, `digest` says.
        let reference = tagged(reference);
        for arch in architectures {
            let wanted = Wanted::new(reference, digest.clone(), *arch, &mirrors)?;
            oci::fetch(&store, &[wanted], false, &progress)?;
        }
        let written = add_image(lockfile, text, name, reference, &of_all(&digest))?;
        crate::lock::replace(lockfile, text, &written)?;
        say(&format!("{digest}  {reference}\n"))?;
        Ok(ExitCode::SUCCESS)
    }

    fn addition(&self) -> Result<Addition, AddError> {
        let take = match (&self.file, &self.folder) {
            (Some(file), _) => Take::File(file.clone()),
            (None, Some(folder)) => Take::Folder(folder.clone()),
            (None, None) if self.files.is_empty() => {
                return Err(AddError::Take("one of --file, --files and --folder is required for a file"));
            }
            (None, None) => Take::Files(self.files.iter().cloned().collect()),
        };
        let (release, component, url) = (self.release.clone(), self.component.clone(), self.url.clone());
        Ok(Addition { release, component, url, take })
    }

    /// Downloads the file, compares it with the published checksum, and puts it into the store.
    fn fetch(&self, store: &Store, mirrors: &Mirrors, arch: Arch) -> Result<Found> {
        let url = with_arch(&self.url, arch);
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        let folder = tempfile::Builder::new().prefix("kiln-add-").tempdir()?;
        let path = folder.path().join("download");
        fetch::unverified(&mirrors.instead(&url), &path)?;
        let sha256 = of_file(&path, &mut sha2::Sha256::default())?;
        if let Some(checksums) = &self.checksums {
            let from = with_arch(checksums, arch);
            let list = folder.path().join("checksums");
            fetch::unverified(&mirrors.instead(&from), &list)?;
            let list = String::from_utf8_lossy(&fs::read(list)?).into_owned();
            compare(&path, &name, published(&list, &name, &shown(&from))?, &sha256)?;
        }
        let size = fs::metadata(&path)?.len();
        let sha256 = sha256.parse().map_err(std::io::Error::other)?;
        let found = Found { sha256, size };
        let (key, sha256) = (self.component.clone(), found.sha256.clone());
        local::admit(store, &[LocalFile { key, path, in_folder: false, name, sha256 }])?;
        Ok(found)
    }
}

/// A reference without its digest, when it has a tag as well.
fn tagged(reference: &str) -> &str {
    let named = reference.split('@').next().unwrap_or(reference);
    if oci::parse(named).is_ok() { named } else { reference }
}

/// A published checksum may be a SHA-256 or a SHA-512.
fn compare(path: &Path, file: &str, published: String, sha256: &str) -> Result<()> {
    let found = match published.len() {
        64 => sha256.to_owned(),
        _ => of_file(path, &mut sha2::Sha512::default())?,
    };
    match found == published {
        true => Ok(()),
        false => Err(AddError::Mismatch { file: file.to_owned(), published, found }.into()),
    }
}
