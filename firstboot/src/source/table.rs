//! The node table as a source: which of its nodes is this machine? The rest of a node's values stand beside its
//! name, so that choosing is all there is to do. It does not read the table from the image.

use crate::card::Card;
use crate::schema::{Cluster, Node};
use crate::settings::{Settings, Sourced};
use crate::source::error::SourceError;

/// Name of this source in the record.
pub const NAME: &str = "node table";

/// Finds the node that is this machine: the one that a source names, else the one that has one of the `cards`, else
/// the one with a host name that a source gives. The origin says how it was found. `None` when nothing says it.
///
/// # Errors
/// The table has no node of the name, or the cards belong to more than one node.
pub fn pick<'a>(
    cluster: &'a Cluster,
    settings: &Settings,
    cards: &[Card],
) -> Result<Option<Sourced<&'a Node>>, SourceError> {
    if let Some(named) = &settings.node {
        let node = cluster.nodes.iter().find(|node| node.name == named.value);
        let node = node.ok_or_else(|| SourceError::NoSuchNode {
            origin: named.origin.clone(),
            name: named.value.clone(),
            valid: names(&cluster.nodes.iter().collect::<Vec<_>>()),
        })?;
        return Ok(Some(Sourced::new(node, named.origin.clone())));
    }
    let matching: Vec<&Node> =
        cluster.nodes.iter().filter(|node| cards.iter().any(|card| card.mac == node.mac)).collect();
    match matching[..] {
        [] => Ok(settings.hostname.iter().chain(&settings.other_hostnames).find_map(|hostname| {
            let node = cluster.nodes.iter().find(|node| node.name == hostname.value)?;
            Some(Sourced::new(node, format!("{NAME}, by host name: {}", hostname.origin)))
        })),
        [node] => Ok(Some(Sourced::new(node, format!("{NAME}, by MAC {}", node.mac)))),
        _ => Err(SourceError::Ambiguous(names(&matching))),
    }
}

fn names(nodes: &[&Node]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| format!("`{}`", node.name)).collect();
    names.join(", ")
}
