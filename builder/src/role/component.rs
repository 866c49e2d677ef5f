//! Files of components, as recipes install them.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Files of the components: component → file name → the file.
pub type Components = BTreeMap<String, BTreeMap<String, ComponentFile>>;

/// A file of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentFile {
    /// Where it lies on the host.
    pub path: PathBuf,
    /// The file that this is another name of: images hold it once, and links to it.
    pub of: Option<String>,
}

impl From<PathBuf> for ComponentFile {
    /// A file of one name.
    fn from(path: PathBuf) -> Self {
        Self { path, of: None }
    }
}
