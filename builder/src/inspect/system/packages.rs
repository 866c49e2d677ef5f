//! dpkg's database: which packages are installed, and which package each path is of
//! ([dpkg(1), files](https://manpages.debian.org/trixie/dpkg/dpkg.1.en.html#FILES)).

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::deb::deb822;
use crate::inspect::files::{FileSystem, Files, Kind, Path};
use crate::inspect::links::text;

/// The folder of the lists of what each package brought.
const LISTS: &[u8] = b"var/lib/dpkg/info/";

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture: `amd64`, `all`.
    pub architecture: String,
    /// The source package and its version, where dpkg has them apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The package of each path.
#[derive(Debug, Clone, Default)]
pub struct Owners(BTreeMap<Path, String>);

/// The packages that are installed, by name.
///
/// # Errors
/// When the file system is damaged.
pub fn installed(fs: &FileSystem, files: &Files) -> io::Result<Vec<Package>> {
    let status = text(fs, files, "var/lib/dpkg/status")?.unwrap_or_default();
    let paragraphs = deb822::paragraphs(&status);
    let installed = paragraphs.iter().filter(|paragraph| {
        paragraph.get("Status").is_some_and(|status| status.split(' ').next_back() == Some("installed"))
    });
    let field = |paragraph: &deb822::Paragraph, name: &str| {
        paragraph.get(name).map(|value| value.escape_debug().to_string())
    };
    let mut packages: Vec<Package> = installed
        .filter_map(|paragraph| {
            Some(Package {
                name: field(paragraph, "Package")?,
                version: field(paragraph, "Version")?,
                architecture: field(paragraph, "Architecture").unwrap_or_default(),
                source: field(paragraph, "Source"),
            })
        })
        .collect();
    packages.sort();
    Ok(packages)
}

impl Owners {
    /// Reads the lists of all packages. They name /bin/sh where it is /usr/bin/sh by a link of /bin: both are found.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn read(fs: &FileSystem, files: &Files) -> io::Result<Self> {
        let mut owners = BTreeMap::new();
        let lists = files.range(LISTS.to_vec()..).map_while(|(path, _)| path.strip_prefix(LISTS));
        for list in lists.filter_map(|name| name.strip_suffix(b".list")) {
            let path = [LISTS, list, b".list"].concat();
            let Some(text) = text(fs, files, &String::from_utf8_lossy(&path))? else { continue };
            // `libc6:amd64` where a package can be installed for several architectures.
            let package = String::from_utf8_lossy(list);
            let package = package.split(':').next().unwrap_or_default().escape_debug().to_string();
            for line in text.lines().filter_map(|line| line.strip_prefix('/')) {
                owners.insert(behind_links(files, line.as_bytes()), package.clone());
            }
        }
        Ok(Self(owners))
    }

    /// The package of a path.
    #[must_use]
    pub fn of(&self, path: &[u8]) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

/// A path below a link of the root directory, such as /bin, as it is called behind it.
fn behind_links(files: &Files, path: &[u8]) -> Path {
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    match files.get(&path[..end]).map(|node| &node.kind) {
        Some(Kind::Link(target)) if end < path.len() && !target.starts_with(b"/") => {
            [target.as_slice(), &path[end..]].concat()
        }
        _ => path.to_vec(),
    }
}
