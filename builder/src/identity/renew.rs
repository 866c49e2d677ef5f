//! Renewal: the profile says of which generation a key is, and this raises it. Comments and the rest of the file stay as they
//! are.

use std::collections::BTreeMap;

use fs_err as fs;
use toml_edit::{DocumentMut, Item, Table, value};

use crate::ground::durable::public;
use crate::ground::error::{InputError, Result};
use crate::identity::cluster;
use crate::pki::secret::ClusterSecret;
use crate::plan::Plan;

/// Raises the generations of some labels in a plan's profile, and returns the new ones.
///
/// # Errors
/// When a label is none of this cluster's, or the profile cannot be written; nothing is then.
pub fn renew(plan: &Plan, labels: &[String]) -> Result<BTreeMap<String, u32>> {
    let mut raised = plan.clone();
    let mut renewed = BTreeMap::new();
    for label in labels {
        let next = plan.profile.pki.generation.get(label).copied().unwrap_or(1) + 1;
        raised.profile.pki.generation.insert(label.clone(), next);
        renewed.insert(label.clone(), next);
    }
    // Which labels there are depends on no secret.
    cluster::pki(&raised, &ClusterSecret::from_bytes([0; 32]))?;
    let path = &plan.profile.path;
    let text = fs::read_to_string(path)?;
    let wrong = |error: toml_edit::TomlError| InputError::Wrong {
        path: path.clone(),
        line: 1,
        message: error.message().to_owned(),
        hint: None,
    };
    let mut document: DocumentMut = text.parse().map_err(wrong)?;
    // Where there was nothing else, `[pki.generation]` stands alone.
    let mut alone = Table::new();
    alone.set_implicit(true);
    let table = document.entry("pki").or_insert(Item::Table(alone));
    if table.get("generation").is_none() {
        table["generation"] = Item::Table(Table::new());
    }
    for (label, generation) in &renewed {
        table["generation"][label] = value(i64::from(*generation));
    }
    public(path, document.to_string().as_bytes())?;
    Ok(renewed)
}
