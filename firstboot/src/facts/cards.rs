//! Which network card is the cluster's, and what a source says of it and of the others.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::card::Card;
use crate::facts::error::{FactsError, list};
use crate::schema::{Mac, Node};
use crate::settings::Sourced;
use crate::settings::interface::{Interface, Made, Route};

/// What a source says of the cluster's card.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub address: Option<Sourced<Ipv4Net>>,
    pub gateway: Option<Sourced<Ipv4Addr>>,
    /// Whether it has a default route of IPv4, be it the gateway or among the rest.
    pub routed: bool,
    pub dns: Option<Sourced<Vec<IpAddr>>>,
    /// The rest, when there is any.
    pub rest: Option<Sourced<Interface>>,
}

/// The card of the table when the machine has it, else the machine's only one, else the one that a source gives an
/// address of the cluster's network: a node that was picked by name may run on other hardware.
pub(super) fn pick(
    node: &Node,
    origin: &str,
    table: &str,
    cards: &[Card],
    interfaces: &[Sourced<Interface>],
    network: Option<Ipv4Net>,
) -> Result<Sourced<Mac>, FactsError> {
    if cards.is_empty() || cards.iter().any(|card| card.mac == node.mac) {
        return Ok(Sourced::new(node.mac, table));
    }
    if let [only] = cards {
        return Ok(Sourced::new(only.mac, format!("the only network card, {}", only.name)));
    }
    for Sourced { value: interface, origin } in interfaces.iter().filter(|found| is_in(&found.value, network))
    {
        let mut meant = cards.iter().filter(|card| interface.selector.means(card));
        if let (Some(card), None) = (meant.next(), meant.next()) {
            return Ok(Sourced::new(card.mac, origin));
        }
    }
    Err(FactsError::Card {
        origin: origin.to_owned(),
        node: node.name.clone(),
        mac: node.mac,
        cards: list_cards(cards),
    })
}

/// The interface that is the cluster's card, and all others.
type Sorted = (Option<Sourced<Interface>>, Vec<Sourced<Interface>>);

/// Finds the interface that means the cluster's card. It is among the others too when it means more cards.
pub(super) fn sort(
    interfaces: &[Sourced<Interface>],
    mac: Mac,
    cards: &[Card],
) -> Result<Sorted, FactsError> {
    let means = |found: &Sourced<Interface>| {
        let selector = &found.value.selector;
        let named = cards.iter().find(|card| card.mac == mac).is_some_and(|card| selector.means(card));
        named || (selector.name.is_none() && selector.mac == Some(mac))
    };
    let (own, mut others): (Vec<_>, Vec<_>) = interfaces.iter().cloned().partition(means);
    if let [first, second, ..] = &own[..] {
        return Err(FactsError::Misfit {
            origin: second.origin.clone(),
            value: format!("`{}`", second.value.id),
            reason: format!("is the network card {mac}, as `{}` is", first.value.id),
        });
    }
    let own = own.into_iter().next();
    // An address is one card's, whatever else a pattern fits.
    let shared = own.iter().filter(|own| {
        own.value.addresses.is_empty()
            && cards.iter().any(|card| card.mac != mac && own.value.selector.means(card))
    });
    others.extend(shared.cloned());
    Ok((own, others))
}

/// Takes what the node's own values are out of an interface.
pub(super) fn split(
    Sourced { value: mut own, origin }: Sourced<Interface>,
    network: Option<Ipv4Net>,
) -> Said {
    let from = |key: &str| format!("{origin}, {key}");
    let v4 = |net: &IpNet| matches!(net, IpNet::V4(_));
    let found = own.addresses.iter().position(|net| in_network(net, network));
    let address = match found.or(own.addresses.iter().position(v4)).map(|at| own.addresses.remove(at)) {
        Some(IpNet::V4(net)) => Some(Sourced::new(net, from("address"))),
        _ => None,
    };
    let is_default = |to: &IpNet| v4(to) && to.prefix_len() == 0;
    let routed = own.routes.iter().any(|route| is_default(&route.to));
    // A gateway is neither weighed against others nor outside the address's network.
    let plain = |route: &Route| is_default(&route.to) && route.metric.is_none() && !route.on_link;
    let found = own.routes.iter().position(plain);
    let gateway = match found.map(|at| own.routes.remove(at).via) {
        Some(Some(IpAddr::V4(via))) => Some(Sourced::new(via, from("gateway"))),
        _ => None,
    };
    let dns = std::mem::take(&mut own.dns);
    let dns = (!dns.is_empty()).then(|| Sourced::new(dns, from("nameservers")));
    let bare = Interface { id: own.id.clone(), selector: own.selector.clone(), ..Interface::default() };
    let rest = (own != bare).then(|| Sourced::new(own, &origin));
    Said { address, gateway, routed, dns, rest }
}

/// Where nobody knows the network, the card that asks for an address is the one.
fn is_in(interface: &Interface, network: Option<Ipv4Net>) -> bool {
    (network.is_none() && interface.dhcp4) || interface.addresses.iter().any(|net| in_network(net, network))
}

fn in_network(net: &IpNet, network: Option<Ipv4Net>) -> bool {
    matches!((net, network), (IpNet::V4(net), Some(network)) if network.contains(&net.addr()))
}

/// An interface in words.
pub(super) fn describe(card: &Interface) -> String {
    let mut words = Vec::new();
    let mut word = |text: String| words.push(text);
    if let Some(mac) = card.selector.mac {
        word(mac.to_string());
    }
    if let Some(name) = &card.selector.name {
        word(name.clone());
    }
    match &card.made {
        Some(Made::Vlan { id, link }) => word(format!("VLAN {id} of {link}")),
        Some(Made::Bond { cards, .. }) => word(format!("bond of {}", list(cards))),
        None => {}
    }
    for vlan in &card.vlans {
        word(format!("with {vlan}"));
    }
    if let Some(bond) = &card.bond {
        word(format!("in {bond}"));
    }
    for (is, name) in [(card.dhcp4, "dhcp4"), (card.dhcp6, "dhcp6")] {
        if is {
            word(name.to_owned());
        }
    }
    if !card.addresses.is_empty() {
        word(list(&card.addresses));
    }
    for route in &card.routes {
        word(format!("{} via {}", route.to, route.via.map(|via| via.to_string()).unwrap_or_default()));
    }
    words.join(" ")
}

/// The cards as a message shows them.
pub fn list_cards(cards: &[Card]) -> String {
    if cards.is_empty() {
        return "no network card".to_owned();
    }
    let cards: Vec<_> = cards.iter().map(|card| format!("{} ({})", card.mac, card.name)).collect();
    cards.join(", ")
}
