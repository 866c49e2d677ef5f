//! Where files are downloaded from: configuration, never part of the lock or of a hash.
//!
//! For the Debian archive the first of these that says something decides: `--debian-mirror`, `KILN_DEBIAN_MIRROR`,
//! Kiln's configuration file, the host's own apt sources. Prefix maps redirect any address, these too. It makes up
//! addresses; it downloads nothing.

mod address;
mod config;
mod host;
mod prefix;

use std::collections::BTreeMap;
use std::path::Path;

use crate::fetch::shown;
use crate::ground::error::{Class, Explain, InputError};
use address::usable;
use config::{Addresses, Config};
use prefix::Prefixes;

/// Names the mirror of the archive `debian` when the command line does not.
pub const VARIABLE: &str = "KILN_DEBIAN_MIRROR";

/// Redirects addresses before the configuration file does: `PREFIX=URL`, several with blanks between them.
pub const REDIRECTS: &str = "KILN_MIRRORS";

/// The archives that the lock may name; each is also how a mirror's path ends.
const ARCHIVES: [&str; 2] = ["debian", "debian-security"];

/// Base addresses without a slash at the end, in the order to try; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    archives: BTreeMap<String, Vec<String>>,
    snapshot: Vec<String>,
    prefixes: Prefixes,
}

/// Why there is no mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Nobody names one.
    #[error("no mirror of the Debian archive is configured, and this host's apt sources name none")]
    None,
    /// An address is not one that can be read from.
    #[error("{origin} is `{}`, which is no http://, https:// or file:// address", shown(url))]
    Address {
        /// Who said it.
        origin: String,
        /// What it said.
        url: String,
    },
    /// A redirect has no `=`.
    #[error("{REDIRECTS} has `{}`, which is not of the form PREFIX=URL", shown(text))]
    Redirect {
        /// What it has.
        text: String,
    },
    /// The configuration file is wrong.
    #[error(transparent)]
    Config(#[from] InputError),
}

impl Explain for MirrorError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::None => Some(format!(
                "name one: `--debian-mirror http://HOST/debian`, or {VARIABLE}=http://HOST/debian"
            )),
            Self::Address { .. } => {
                Some("write it as `http://HOST/PATH`, `https://HOST/PATH` or `file:///FOLDER`".to_owned())
            }
            Self::Redirect { .. } => {
                Some(format!("write {REDIRECTS}=https://dl.k8s.io=https://HOST/dl.k8s.io"))
            }
            Self::Config(error) => error.hint(),
        }
    }
}

/// What the user and the host say.
struct Said<'a> {
    /// The value of `--debian-mirror`.
    argument: Option<&'a str>,
    /// The value of [`VARIABLE`].
    variable: Option<&'a str>,
    /// The value of [`REDIRECTS`].
    redirects: Option<&'a str>,
    /// Kiln's configuration file.
    config: Option<&'a Path>,
    /// The host's /etc/apt.
    apt: &'a Path,
}

impl Mirrors {
    /// Finds the mirrors; `argument` is the value of `--debian-mirror`.
    ///
    /// # Errors
    /// [`MirrorError`] when nobody names a mirror of the archive `debian`, or somebody names nonsense.
    pub fn find(argument: Option<&str>) -> Result<Self, MirrorError> {
        let mirrors = Self::known(argument)?;
        if mirrors.archives.contains_key("debian") { Ok(mirrors) } else { Err(MirrorError::None) }
    }

    /// As [`Mirrors::find`], but nobody needs to name a mirror: without a network only those count that are folders
    /// of this machine.
    ///
    /// # Errors
    /// [`MirrorError`] when somebody names nonsense.
    pub fn known(argument: Option<&str>) -> Result<Self, MirrorError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (mirror, redirects, config) = (variable(VARIABLE), variable(REDIRECTS), config::file());
        Self::choose(&Said {
            argument,
            variable: mirror.as_deref(),
            redirects: redirects.as_deref(),
            config: config.as_deref(),
            apt: Path::new("/etc/apt"),
        })
    }

    fn choose(said: &Said<'_>) -> Result<Self, MirrorError> {
        let Config { mirror, mirrors } = Config::load(said.config)?;
        let mut archives = BTreeMap::new();
        let one = |url: Option<&str>| Addresses(url.map(str::to_owned).into_iter().collect());
        for (archive, origin, urls) in [
            ("debian", "`--debian-mirror`", one(said.argument)),
            ("debian", VARIABLE, one(said.variable)),
            ("debian", "`debian` in Kiln's configuration file", mirror.debian),
            ("debian-security", "`debian-security` in Kiln's configuration file", mirror.debian_security),
        ] {
            if !urls.0.is_empty() {
                archives.entry(archive.to_owned()).or_insert(addresses(origin, urls)?);
            }
        }
        let uris = host::uris(said.apt);
        for archive in ARCHIVES {
            if let Some(uri) = uris.iter().find(|uri| uri.ends_with(&format!("/{archive}"))) {
                archives.entry(archive.to_owned()).or_insert_with(|| vec![uri.clone()]);
            }
        }
        let snapshot = addresses("`snapshot` in Kiln's configuration file", mirror.snapshot)?;
        let mut configured = Prefixes::default();
        for (prefix, urls) in mirrors {
            let prefix = address("a key of `mirrors` in Kiln's configuration file", &prefix)?;
            for url in addresses(&format!("`mirrors.\"{prefix}\"` in Kiln's configuration file"), urls)? {
                configured.add(prefix.clone(), url);
            }
        }
        let prefixes = redirects(said.redirects.unwrap_or_default())?.or(configured);
        Ok(Self { archives, snapshot, prefixes })
    }

    /// The addresses to try, in order, for a file below an archive's root: the mirrors', then the snapshot mirrors'
    /// at that time. Empty when neither is known.
    #[must_use]
    pub fn urls(&self, archive: &str, snapshot: &str, file: &str) -> Vec<String> {
        let past =
            self.snapshot.iter().map(|base| below(&format!("{base}/archive/{archive}/{snapshot}"), file));
        let past: Vec<String> = past.flat_map(|url| self.instead(&url)).collect();
        [self.current(archive, file), past].concat()
    }

    /// The addresses of a file as the archive is now, for `lock update`.
    #[must_use]
    pub fn current(&self, archive: &str, file: &str) -> Vec<String> {
        let bases = self.archives.get(archive).into_iter().flatten();
        bases.flat_map(|base| self.instead(&below(base, file))).collect()
    }

    /// The same, with a candidate more for the addresses that begin with a prefix.
    #[must_use]
    pub fn redirecting(mut self, prefix: &str, url: &str) -> Self {
        self.prefixes.add(prefix.to_owned(), url.to_owned());
        self
    }

    /// What to ask instead of an address, in order: itself when no prefix map has it.
    #[must_use]
    pub fn instead(&self, url: &str) -> Vec<String> {
        self.prefixes.redirect(url)
    }
}

/// Reads [`REDIRECTS`]; the same prefix again is another candidate.
fn redirects(text: &str) -> Result<Prefixes, MirrorError> {
    let mut prefixes = Prefixes::default();
    for pair in text.split_whitespace() {
        let (prefix, url) =
            pair.split_once('=').ok_or_else(|| MirrorError::Redirect { text: pair.to_owned() })?;
        prefixes.add(address(REDIRECTS, prefix)?, address(REDIRECTS, url)?);
    }
    Ok(prefixes)
}

/// Pool names hold `+` and `~`, which some web servers and caches take for something else; a `file://` address is a
/// path as it is.
fn below(base: &str, file: &str) -> String {
    match base.starts_with("file://") {
        true => format!("{base}/{file}"),
        false => format!("{base}/{}", file.replace('+', "%2b").replace('~', "%7e")),
    }
}

fn addresses(origin: &str, urls: Addresses) -> Result<Vec<String>, MirrorError> {
    urls.0.iter().map(|url| address(origin, url)).collect()
}

fn address(origin: &str, url: &str) -> Result<String, MirrorError> {
    usable(url).ok_or_else(|| MirrorError::Address { origin: origin.to_owned(), url: url.to_owned() })
}

#[cfg(test)]
mod tests;
