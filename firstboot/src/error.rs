//! Why a node was not configured.

use std::io;

use crate::facts::FactsError;
use crate::identity::IdentityError;
use crate::image::ImageError;
use crate::machine::DeviceError;
use crate::plan::PlanError;
use crate::record::RecordError;
use crate::schema::Mac;
use crate::seed::IDENTITY_FILE;
use crate::source::SourceError;

/// The node was not configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source is wrong.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The values do not fit.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The identity that a seed carries cannot be used.
    #[error("NoCloud, {IDENTITY_FILE}: {0}")]
    SeedIdentity(IdentityError),
    /// It is not clear where the identity is.
    #[error("identity: {0}")]
    Device(#[from] DeviceError),
    /// The image is wrong.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image's parts do not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The record of an earlier run is wrong.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A source has values, and nothing says which node they are for.
    #[error(
        "{0}: nothing says which node this is for; say it with `kiln.node=NAME` on the kernel command line, or \
         with a host name or network card of the node table"
    )]
    NoNode(String),
    /// This disk has been another node, and the identity went with it.
    #[error(
        "this disk was set up as node `{before}`, and `{now}` has no identity on it any more; \
         boot `{now}` from a fresh copy of the image"
    )]
    OtherNode {
        /// The node of the record.
        before: String,
        /// The node that it is to be.
        now: String,
    },
    /// firstboot has not configured this machine.
    #[error("this machine is no node yet; see `journalctl --unit kiln-firstboot`")]
    NotConfigured,
    /// DHCP gives no address.
    #[error("the network card {card} has no IPv4 address after {seconds} s; is there a DHCP server?")]
    NoAddress {
        /// The cluster's card.
        card: Mac,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Writing failed.
    #[error("applying: {0}")]
    Apply(io::Error),
    /// Reading the machine failed.
    #[error("reading the machine: {0}")]
    Machine(io::Error),
}

impl Error {
    /// 1: what the caller gave; 2: the machine or the disk.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Apply(_) | Self::Machine(_) | Self::NoAddress { .. } => 2,
            _ => 1,
        }
    }

    /// What is known about the disk, and what to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotConfigured | Self::NoAddress { .. } => "it is tried again in a moment",
            Self::Apply(_) => "the node is not complete; the next boot starts again where this one stopped",
            _ => "nothing was written; correct this and boot again",
        }
    }
}
