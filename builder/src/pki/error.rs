//! Why the certificates of a cluster cannot be made.

use crate::ground::error::{Class, Explain};

/// The certificates of a cluster could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Recipes ask for different certificates by the same label.
    #[error("recipes ask for the certificate `{0}` with different users, usages or names")]
    Conflict(String),
    /// A generation names a label that does not exist in this cluster.
    #[error("`{label}` is not a key of this cluster")]
    UnknownLabel {
        /// The label.
        label: String,
        /// The most similar label.
        nearest: Option<String>,
    },
    /// Generations begin with 1.
    #[error("generation 0 of `{0}` does not exist")]
    ZeroGeneration(String),
    /// Certificates would outlive their authority, or end beyond the year 9999.
    #[error(
        "a validity of {ca_years} years for authorities and {leaf_years} years for certificates is impossible"
    )]
    Validity {
        /// Years of the authorities.
        ca_years: u32,
        /// Years of the other certificates.
        leaf_years: u32,
    },
    /// The cluster for which the certificates were made has no such node.
    #[error("there is no certificate `{0}`")]
    NotIssued(String),
    /// A certificate's content cannot be encoded.
    #[error("cannot issue certificate `{label}`")]
    Issue {
        /// Label of the certificate.
        label: String,
        /// The encoder's reason.
        source: rcgen::Error,
    },
}

impl Explain for PkiError {
    fn class(&self) -> Class {
        match self {
            Self::NotIssued(_) => Class::Host,
            _ => Class::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Conflict(_) => {
                Some("let `[[certificate]]` say the same in each, or give them two labels".into())
            }
            Self::UnknownLabel { nearest, .. } => {
                nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"))
            }
            Self::ZeroGeneration(_) => Some("a key's first generation is 1, its first rotation is 2".into()),
            Self::Validity { .. } => Some("certificates must end before their authorities do".into()),
            Self::Issue { .. } => Some("names are ASCII; write others in their `xn--` form".into()),
            Self::NotIssued(_) => None,
        }
    }
}
