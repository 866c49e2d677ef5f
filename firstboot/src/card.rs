//! A network card of the machine.

use crate::schema::Mac;

/// An Ethernet card.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Card {
    /// The kernel's name for it, for people: it may change from boot to boot.
    pub name: String,
    /// Its address.
    pub mac: Mac,
}
