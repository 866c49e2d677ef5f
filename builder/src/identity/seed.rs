//! A node's NoCloud seed: an ISO 9660 volume with the texts that make a machine this node, and its identity.
//! <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>
//!
//! It owns the texts and the volume. It does not own what an identity holds ([`identity`](crate::identity)), nor how a
//! node reads it (the crate `firstboot`).

use std::path::Path;

use firstboot::schema::{Cluster, Node};
use firstboot::seed::IDENTITY_FILE;
use hadris_fs::{Content, DateTime, Tree};
use hadris_iso::{IsoId, IsoOptions};
use hadris_storage::{BlockSize, MemDevice};
use sha2::{Digest, Sha256};

use crate::ground::durable::private;
use crate::ground::error::{Class, Explain};

/// The label by which NoCloud knows its disk.
const LABEL: &str = "cidata";

/// The folder of the seeds in the folder of results.
pub const FOLDER: &str = "seeds";

/// A seed's file in [`FOLDER`].
#[must_use]
pub fn file_name(node: &str) -> String {
    format!("{node}.iso")
}

/// The profile has no such node.
#[derive(Debug, thiserror::Error)]
#[error("the profile `{profile}` has no node `{node}`")]
pub struct SeedError {
    /// The profile.
    pub profile: String,
    /// What was asked for.
    pub node: String,
    /// The nodes that it has.
    pub nodes: Vec<String>,
}

impl Explain for SeedError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some(format!("its nodes are {}", self.nodes.join(", ")))
    }
}

/// The texts of a seed by their names, without what is secret. `identity` only gives them the instance's name.
#[must_use]
pub fn texts(cluster: &Cluster, node: &Node, identity: &[u8]) -> [(&'static str, String); 3] {
    let Node { name, ip, .. } = node;
    let user = format!("#cloud-config\nkiln:\n  node: \"{name}\"\n");
    // Any wired card: firstboot takes the one with the node's address, else the only one that the machine has.
    let mut network = "version: 2\nethernets:\n  kiln:\n    match:\n      name: \"e*\"\n".to_owned();
    network += &match ip.zip(cluster.network.cidr) {
        Some((ip, cidr)) => format!("    addresses:\n      - \"{ip}/{}\"\n", cidr.prefix_len()),
        None => "    dhcp4: true\n".to_owned(),
    };
    if let Some(gateway) = cluster.network.gateway {
        network += &format!("    routes:\n      - to: default\n        via: \"{gateway}\"\n");
    }
    if !cluster.network.dns.is_empty() {
        network += "    nameservers:\n      addresses:\n";
        network.extend(cluster.network.dns.iter().map(|resolver| format!("        - \"{resolver}\"\n")));
    }
    // Another content is another instance.
    let mut digest = Sha256::new();
    for part in [user.as_bytes(), network.as_bytes(), identity] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let id = hex::encode(&digest.finalize()[..8]);
    let meta = format!("instance-id: \"{name}-{id}\"\nlocal-hostname: \"{name}\"\n");
    [("meta-data", meta), ("user-data", user), ("network-config", network)]
}

/// The bytes of a node's volume. `identity` is the stream of [`identity::stream`](crate::identity::stream), `epoch` the
/// time of everything in it, in Unix seconds.
///
/// # Errors
/// None in practice: four small files always fit.
pub fn volume(cluster: &Cluster, node: &Node, identity: &[u8], epoch: i64) -> std::io::Result<Vec<u8>> {
    const BLOCK: u32 = 2048;
    let other = |error: &dyn std::error::Error| std::io::Error::other(format!("the seed's volume: {error}"));
    let mut tree = Tree::new();
    let texts = texts(cluster, node, identity);
    let texts = texts.iter().map(|(name, text)| (*name, text.as_bytes()));
    for (name, bytes) in texts.chain([(IDENTITY_FILE, identity)]) {
        let file = hadris_fs::Node::file(Content::bytes(bytes.to_vec()));
        tree.insert(name, file).map_err(|error| other(&error))?;
    }
    let time = DateTime::from_unix_seconds(epoch).map_err(|error| other(&error))?;
    let options = IsoOptions::new()
        .with_id(IsoId::Volume, LABEL)
        .with_id(IsoId::Application, "KILN")
        .with_rock_ridge()
        .with_joliet()
        .with_time(time);
    let size = hadris_iso::plan(&tree, &options).map_err(|error| other(&error))?.size();
    let size = usize::try_from(size).map_err(|error| other(&error))?;
    let block = BlockSize::new(BLOCK).ok_or_else(|| std::io::Error::other("a block of 2048 bytes"))?;
    let mut device = MemDevice::new(vec![0; size], block);
    hadris_iso::sync::write(&mut device, &tree, &options).map_err(|error| other(&error))?;
    Ok(device.into_inner())
}

/// Puts the seeds, by node, into the folder of a new set of results.
///
/// # Errors
/// When the folder cannot be written.
pub fn write<'a>(
    results: &Path,
    seeds: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>,
) -> std::io::Result<()> {
    let folder = results.join(FOLDER);
    for (node, volume) in seeds {
        crate::ground::durable::private_folder(&folder)?;
        private(&folder.join(file_name(node)), volume)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
