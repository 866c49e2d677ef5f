//! Where packages of the Debian archive are downloaded from: configuration, never part of the lock or of a hash.
//!
//! The first of these that says something decides: `--debian-mirror`, `KILN_DEBIAN_MIRROR`, Kiln's configuration file,
//! the host's own apt sources. It makes up addresses; it downloads nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use crate::deb822::paragraphs;
use crate::error::{Class, Explain, InputError};
use crate::input;

/// Names the mirror of the archive `debian` when the command line does not.
pub const VARIABLE: &str = "KILN_DEBIAN_MIRROR";

/// The archives that the lock may name; each is also how a mirror's path ends.
const ARCHIVES: [&str; 2] = ["debian", "debian-security"];

/// Base addresses without a slash at the end; by default none, which is enough without a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    archives: BTreeMap<String, String>,
    snapshot: Option<String>,
}

/// Why there is no mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Nobody names one.
    #[error("no mirror of the Debian archive is configured, and this host's apt sources name none")]
    None,
    /// An address is not one that can be read from.
    #[error("{origin} is `{url}`, which is no http://, https:// or file:// address")]
    Address {
        /// Who said it.
        origin: &'static str,
        /// What it said.
        url: String,
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
            Self::None | Self::Address { .. } => Some(format!(
                "name one: `--debian-mirror http://HOST/debian`, or {VARIABLE}=http://HOST/debian"
            )),
            Self::Config(error) => error.hint(),
        }
    }
}

/// `$XDG_CONFIG_HOME/kiln/config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    mirror: ConfigMirror,
}

/// Its section `[mirror]`: base addresses.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConfigMirror {
    debian: Option<String>,
    debian_security: Option<String>,
    snapshot: Option<String>,
}

impl Mirrors {
    /// Finds the mirrors; `cli` is the value of `--debian-mirror`.
    ///
    /// # Errors
    /// [`MirrorError`] when nobody names a mirror of the archive `debian`, or somebody names nonsense.
    pub fn find(cli: Option<&str>) -> Result<Self, MirrorError> {
        let variable = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
        let config = config_file();
        Self::choose(cli, variable.as_deref(), config.as_deref(), Path::new("/etc/apt"))
    }

    fn choose(
        cli: Option<&str>,
        variable: Option<&str>,
        config: Option<&Path>,
        apt: &Path,
    ) -> Result<Self, MirrorError> {
        let config = match config.map(|path| (path, fs::read_to_string(path))) {
            Some((path, Ok(text))) => input::parse::<Config>(path, &text)?.mirror,
            _ => ConfigMirror::default(),
        };
        let given = [
            ("debian", "`--debian-mirror`", cli),
            ("debian", VARIABLE, variable),
            ("debian", "`debian` in Kiln's configuration file", config.debian.as_deref()),
            (
                "debian-security",
                "`debian-security` in Kiln's configuration file",
                config.debian_security.as_deref(),
            ),
        ];
        let mut archives = BTreeMap::new();
        for (archive, origin, url) in given {
            if let Some(url) = url {
                archives.entry(archive.to_owned()).or_insert(address(origin, url)?);
            }
        }
        let uris = host_uris(apt);
        for archive in ARCHIVES {
            if let Some(uri) = uris.iter().find(|uri| uri.ends_with(&format!("/{archive}"))) {
                archives.entry(archive.to_owned()).or_insert_with(|| uri.clone());
            }
        }
        if !archives.contains_key("debian") {
            return Err(MirrorError::None);
        }
        let snapshot = config
            .snapshot
            .map(|url| address("`snapshot` in Kiln's configuration file", &url))
            .transpose()?;
        Ok(Self { archives, snapshot })
    }

    /// The addresses to try, in order, for a file below an archive's root: the mirror's, then the snapshot mirror's
    /// at that time. Empty when neither is known.
    #[must_use]
    pub fn urls(&self, archive: &str, snapshot: &str, file: &str) -> Vec<String> {
        let current = self.current(archive, file);
        let past =
            self.snapshot.as_ref().map(|base| below(&format!("{base}/archive/{archive}/{snapshot}"), file));
        current.into_iter().chain(past).collect()
    }

    /// The address of a file as the archive is now, for `lock update`.
    #[must_use]
    pub fn current(&self, archive: &str, file: &str) -> Option<String> {
        self.archives.get(archive).map(|base| below(base, file))
    }
}

/// Pool names hold `+` and `~`, which some web servers and caches take for something else; a `file://` address is a
/// path as it is.
fn below(base: &str, file: &str) -> String {
    match base.starts_with("file://") {
        true => format!("{base}/{file}"),
        false => format!("{base}/{}", file.replace('+', "%2b").replace('~', "%7e")),
    }
}

fn config_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("kiln/config.toml"))
}

fn address(origin: &'static str, url: &str) -> Result<String, MirrorError> {
    usable(url).ok_or_else(|| MirrorError::Address { origin, url: url.to_owned() })
}

/// An address without its last slash, when Kiln can read from it.
fn usable(url: &str) -> Option<String> {
    let url = url.trim().trim_end_matches('/');
    // apt writes local folders as `file:/srv/debian`, too.
    let url = match url.strip_prefix("file:/") {
        Some(path) => format!("file:///{}", path.trim_start_matches('/')),
        None => url.to_owned(),
    };
    let rest = ["http://", "https://", "file://"].iter().find_map(|scheme| url.strip_prefix(scheme))?;
    (!rest.is_empty() && !rest.contains(char::is_whitespace)).then_some(url)
}

/// The addresses of the host's apt sources (sources.list(5)) that Kiln can read from, in apt's order of reading.
fn host_uris(apt: &Path) -> Vec<String> {
    let mut files = vec![apt.join("sources.list")];
    let parts = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten();
    let mut parts: Vec<PathBuf> = parts.flatten().map(|entry| entry.path()).collect();
    parts.sort();
    files.append(&mut parts);
    let mut uris = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => uris.extend(list_uris(&text)),
            Some("sources") => uris.extend(sources_uris(&text)),
            _ => {}
        }
    }
    uris.iter().filter_map(|uri| usable(&first_of_list(uri))).collect()
}

/// Debian's cloud images name a file of mirrors, `mirror+file:/etc/apt/mirrors/debian.list`: its first line.
fn first_of_list(uri: &str) -> String {
    let Some(path) = uri.strip_prefix("mirror+file:") else { return uri.to_owned() };
    let text = fs::read_to_string(format!("/{}", path.trim_start_matches('/'))).unwrap_or_default();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned()
}

/// One-line style: `deb [options] uri suite component…`.
fn list_uris(text: &str) -> Vec<String> {
    text.lines().filter_map(list_uri).collect()
}

fn list_uri(line: &str) -> Option<String> {
    let line = line.split('#').next()?.trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    if !matches!(kind, "deb" | "deb-src") {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    rest.split_whitespace().next().map(str::to_owned)
}

/// deb822 style.
fn sources_uris(text: &str) -> Vec<String> {
    let enabled = paragraphs(text)
        .into_iter()
        .filter(|source| !source.get("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no")));
    enabled
        .flat_map(|source| {
            let uris = source.get("URIs").unwrap_or_default();
            uris.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests;
