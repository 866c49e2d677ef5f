//! The units of systemd, and what becomes of each at boot, as `systemctl list-unit-files` says it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;

use crate::inspect::files::{FileSystem, Files, Kind};
use crate::inspect::links::{resolved, text};
use crate::inspect::system::packages::Owners;

/// Where units lie, the first one first where a name is in both (systemd.unit(5)).
const FOLDERS: [&str; 2] = ["etc/systemd/system/", "usr/lib/systemd/system/"];

/// How names of units end.
const KINDS: [&str; 8] =
    [".service", ".timer", ".socket", ".mount", ".path", ".target", ".swap", ".automount"];

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name: `kubelet.service`.
    pub name: String,
    /// What becomes of it.
    pub state: State,
    /// The package that brought it; none where none did.
    pub package: Option<String>,
}

/// What becomes of a unit at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Something asks for it.
    Enabled,
    /// It could be enabled.
    Disabled,
    /// It has nothing to be enabled by.
    Static,
    /// It is another name of a unit.
    Alias,
    /// It cannot be started.
    Masked,
}

/// All units, by name.
///
/// # Errors
/// When the file system is damaged.
pub fn of(fs: &FileSystem, files: &Files, owners: &Owners) -> io::Result<Vec<Unit>> {
    let mut units: BTreeMap<String, Unit> = BTreeMap::new();
    let wanted = wanted(files);
    for folder in FOLDERS {
        for (path, node) in files.range(folder.as_bytes().to_vec()..) {
            let Some(name) = path.strip_prefix(folder.as_bytes()) else { break };
            let name = String::from_utf8_lossy(name).escape_debug().to_string();
            if name.contains('/')
                || !KINDS.iter().any(|kind| name.ends_with(kind))
                || units.contains_key(&name)
            {
                continue;
            }
            let state = match &node.kind {
                Kind::Link(target) if target == b"/dev/null" => State::Masked,
                Kind::File if node.size == 0 => State::Masked,
                Kind::Link(_) if resolved(files, path).is_none_or(|to| !to.ends_with(name.as_bytes())) => {
                    State::Alias
                }
                _ if wanted.contains(&name) => State::Enabled,
                _ => {
                    let path = String::from_utf8_lossy(path);
                    let text = text(fs, files, &path)?.unwrap_or_default();
                    let installs = text.lines().any(|line| line.trim() == "[Install]");
                    if installs { State::Disabled } else { State::Static }
                }
            };
            let package = owners.of(path).map(str::to_owned);
            units.insert(name.clone(), Unit { name, state, package });
        }
    }
    Ok(units.into_values().collect())
}

/// The names of the units that a link in /etc asks for.
fn wanted(files: &Files) -> BTreeSet<String> {
    let folder = FOLDERS[0].as_bytes();
    let links = files.range(folder.to_vec()..).map_while(|(path, _)| path.strip_prefix(folder));
    let names = links.filter_map(|path| {
        let path = String::from_utf8_lossy(path);
        let (target, name) = path.split_once('/')?;
        let asks = [".wants", ".requires", ".upholds"].iter().any(|kind| target.ends_with(kind));
        asks.then(|| name.escape_debug().to_string())
    });
    names.collect()
}
