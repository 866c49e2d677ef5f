//! Why a source cannot be used.

use std::io;
use std::net::SocketAddr;

use crate::schema::Cloud;
use crate::seed::SeedError;
use crate::settings::keys::SettingError;
use crate::source::kept::KeptError;

/// A source is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source cannot be read.
    #[error("{source_name}: {error}")]
    Read {
        /// Name of the source.
        source_name: &'static str,
        /// What the kernel said, with the path.
        error: io::Error,
    },
    /// One of its keys is unknown, given twice or has a wrong value.
    #[error("{source_name}: {error}")]
    Setting {
        /// Name of the source.
        source_name: &'static str,
        /// The key and what is wrong with it.
        error: SettingError,
    },
    /// The NoCloud seed is wrong.
    #[error(transparent)]
    NoCloud(#[from] NoCloudError),
    /// What is kept of a source is wrong.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// A cloud's metadata cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A source names a node that the node table does not have.
    #[error("{origin}: the node table has no node `{name}`; its nodes are {valid}")]
    NoSuchNode {
        /// Source and key.
        origin: String,
        /// What stands there.
        name: String,
        /// The table's nodes.
        valid: String,
    },
    /// Network cards of this machine belong to different nodes of the node table.
    #[error(
        "node table: this machine has the network cards of {0}; say which with `kiln.node=NAME` on the kernel command line"
    )]
    Ambiguous(String),
}

pub(super) const NAME: &str = "NoCloud";
/// The label of the volume, in whatever case.
pub(super) const LABEL: &str = "cidata";

/// The seed is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoCloudError {
    /// There are several.
    #[error("{NAME}: {0} all have the label {LABEL}; detach those that are not this node's")]
    Ambiguous(String),
    /// The disk cannot be read.
    #[error("{NAME}, {device}: {error}")]
    Disk {
        /// The disk.
        device: String,
        /// What is wrong with it.
        error: io::Error,
    },
    /// One of its texts is wrong.
    #[error("{NAME}, {file}, {error}")]
    Text {
        /// The text.
        file: &'static str,
        /// What is wrong with it.
        error: SeedError,
    },
}

/// The metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The server does not answer in time.
    #[error("{cloud} metadata, {path}: no answer from {server} in {seconds} s: {last}")]
    Silent {
        /// The cloud.
        cloud: Cloud,
        /// What was asked for.
        path: String,
        /// The server.
        server: SocketAddr,
        /// How long it was tried.
        seconds: u64,
        /// What went wrong the last time.
        last: String,
    },
    /// The server refuses.
    #[error("{cloud} metadata, {path}: the server answers with status {status}{hint}")]
    Refused {
        /// The cloud.
        cloud: Cloud,
        /// What was asked for.
        path: String,
        /// Its status.
        status: u16,
        /// What that means there.
        hint: &'static str,
    },
    /// The answer is not what that cloud's server says.
    #[error("{cloud} metadata, {path}: {what}")]
    Wrong {
        /// The cloud.
        cloud: Cloud,
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// One of the texts is wrong.
    #[error("{cloud} metadata, {file}, {error}")]
    Text {
        /// The cloud.
        cloud: Cloud,
        /// The text.
        file: &'static str,
        /// What is wrong with it.
        error: SeedError,
    },
    /// It cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeptError),
}

impl MetadataError {
    /// Whether it is for want of an answer, which an earlier boot's may stand in for.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}
