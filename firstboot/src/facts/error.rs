//! The values do not fit together or not this image.

use crate::schema::Mac;

/// The values do not fit together or not this image.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The node belongs to another image.
    #[error(
        "{origin}: node `{node}` has the role `{role}`, and this is the image of the role `{image}`; boot it from `{role}.qcow2`"
    )]
    Role {
        /// What picked the node.
        origin: String,
        /// The node.
        node: String,
        /// Its role.
        role: String,
        /// The image's.
        image: String,
    },
    /// The node was picked by name, and it is not clear which card is meant.
    #[error(
        "{origin}: node `{node}` has the network card {mac} in the node table, and this machine has {cards}; \
         give it one card, or one with that address"
    )]
    Card {
        /// What picked the node.
        origin: String,
        /// The node.
        node: String,
        /// The card that the table gives it.
        mac: Mac,
        /// The cards of the machine.
        cards: String,
    },
    /// A source overrides a value with one that does not fit.
    #[error("{origin}: {value} {reason}")]
    Misfit {
        /// Source and key.
        origin: String,
        /// The value.
        value: String,
        /// What it conflicts with.
        reason: String,
    },
}

/// Values as a message or the record shows them.
pub(super) fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
