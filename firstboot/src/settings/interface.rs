//! What a source says of the machine's users and network cards, as plain data: several cards, IPv4 and IPv6, static
//! or by DHCP. It does not know how that is written down, in a seed or for systemd-networkd.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::schema::Mac;

/// A user account. One that the image has already stays as it is, but for its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// The person, for people; nothing when it is empty.
    pub gecos: String,
    /// Login shell; the usual one when it is empty.
    pub shell: String,
    /// Lines for `authorized_keys`.
    pub keys: Vec<String>,
}

/// Which network cards are meant: all that fit what is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// The card's address.
    pub mac: Option<Mac>,
    /// The kernel's name for it; a `*` stands for any text.
    pub name: Option<String>,
}

impl Selector {
    /// Whether it means this card.
    pub fn means(&self, card: &Card) -> bool {
        (self.mac.is_some() || self.name.is_some())
            && self.mac.is_none_or(|mac| mac == card.mac)
            && self.name.as_ref().is_none_or(|name| fits(name, &card.name))
    }
}

/// Whether `name` fits a pattern with any number of `*`.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = name.split_once(part) else { return false };
        name = behind;
    }
    name.ends_with(last)
}

/// How one network card, or several alike, are set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Interface {
    /// What the source calls it, fit for a file name.
    pub id: String,
    /// The cards.
    pub selector: Selector,
    /// Whether to ask for an IPv4 address.
    pub dhcp4: bool,
    /// Whether to ask for an IPv6 address.
    pub dhcp6: bool,
    /// Whether routers' advertisements count; the kernel decides when it is not said.
    pub accept_ra: Option<bool>,
    /// Addresses with the lengths of their prefixes.
    pub addresses: Vec<IpNet>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Resolvers.
    pub dns: Vec<IpAddr>,
    /// Domains to look short names up in.
    pub search: Vec<String>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Whether the boot does not wait for it.
    pub optional: bool,
    /// Priority of the routes that DHCP brings; the lowest wins.
    pub route_metric: Option<u32>,
    /// Whether the resolvers that DHCP names are used.
    pub use_dns: Option<bool>,
    /// Whether the routes that DHCP names are used.
    pub use_routes: Option<bool>,
    /// What makes it, when it is no card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// The VLANs that lie on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<String>,
    /// The bond that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<String>,
    /// Whether its bond uses it before the others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub primary: bool,
}

/// A device that is made of cards; its name is the interface's `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Made {
    /// A VLAN (IEEE 802.1Q).
    Vlan {
        /// Its number.
        id: u16,
        /// The device that it lies on.
        link: String,
    },
    /// Several cards that are one.
    Bond {
        /// The cards.
        cards: Vec<String>,
        /// The one of them that is used before the others.
        primary: Option<String>,
        /// Lines of `[Bond]` (systemd.netdev(5)).
        options: Vec<String>,
    },
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Route {
    /// Where it leads; everywhere for a prefix of length 0.
    pub to: IpNet,
    /// The router; none for what the card reaches itself.
    pub via: Option<IpAddr>,
    /// Priority; the lowest wins.
    pub metric: Option<u32>,
    /// Whether the router is taken to be reachable although no address says so.
    pub on_link: bool,
}

impl Route {
    /// The default route of IPv4 or IPv6, as `via` is one.
    pub fn default_via(via: IpAddr) -> Self {
        let any: IpAddr = if via.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        Self { to: IpNet::new_assert(any, 0), via: Some(via), metric: None, on_link: false }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in
            [("enp1s0", "enp1s0"), ("en*", "enp1s0"), ("*", "x"), ("e*p*0", "enp1s0"), ("a*", "a")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("enp1s0", "enp1s01"), ("en*", "eth0"), ("e*1", "enp1s0"), ("ab*ba", "aba")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
