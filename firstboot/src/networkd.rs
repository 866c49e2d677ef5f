//! Files for systemd-networkd, as text from values: the card of the cluster, with the routes to the other nodes'
//! pods, and any other card that a source sets up.
//! <https://www.freedesktop.org/software/systemd/man/257/systemd.network.html>

use std::fmt::Write;

use crate::facts::{Facts, Peer};
use crate::header::HEADER;
use crate::settings::interface::{Interface, Made, Route};

/// The card of the cluster.
pub fn own(facts: &Facts) -> String {
    // The type keeps a VLAN or bridge that has the card's address from matching as well.
    let mut text = format!("{HEADER}[Match]\nMACAddress={}\nType=ether\n", facts.mac.value);
    let mut more = facts.own.as_ref().map(|own| own.value.clone()).unwrap_or_default();
    more.dhcp4 |= facts.address.is_none();
    link(&mut text, &Interface { optional: false, ..more.clone() });
    text.push_str("\n[Network]\n");
    if let Some(address) = &facts.address {
        let _ = writeln!(text, "Address={}", address.value);
    }
    for address in &more.addresses {
        let _ = writeln!(text, "Address={address}");
    }
    if let Some(gateway) = &facts.gateway {
        let _ = writeln!(text, "Gateway={}", gateway.value);
    }
    if more.dhcp4 || more.dhcp6 {
        let _ = writeln!(text, "DHCP={}", dhcp(&more));
    }
    made_of(&mut text, &more);
    if facts.announced.is_some() {
        text.push_str("MulticastDNS=yes\n");
    }
    let resolvers = Interface { dns: facts.dns.value.clone(), ..more.clone() };
    names(&mut text, &resolvers);
    let accept = more.accept_ra.unwrap_or(more.dhcp6);
    let _ = writeln!(text, "IPv6AcceptRA={}", yes(accept));
    rest(&mut text, &more);
    // Where addresses change, `firstboot peers` looks after the routes.
    for Peer { name, ip, pod_cidr } in facts.peers.iter().filter(|_| facts.announced.is_none()) {
        if let (Some(ip), Some(pod_cidr)) = (ip, pod_cidr) {
            let _ = write!(text, "\n# Pods of {name}\n[Route]\nDestination={pod_cidr}\nGateway={ip}\n");
        }
    }
    text
}

/// What makes a device that is no card.
/// <https://www.freedesktop.org/software/systemd/man/257/systemd.netdev.html>
pub fn device(device: &Interface) -> Option<String> {
    let mut text = format!("{HEADER}[NetDev]\nName={}\nKind={}\n", device.id, kind(device)?);
    let _ = match device.made.as_ref()? {
        Made::Vlan { id, .. } => write!(text, "\n[VLAN]\nId={id}\n"),
        Made::Bond { options, .. } => write!(text, "\n[Bond]\n{}\n", options.join("\n")),
    };
    Some(text)
}

fn kind(device: &Interface) -> Option<&'static str> {
    device.made.as_ref().map(|made| match made {
        Made::Vlan { .. } => "vlan",
        Made::Bond { .. } => "bond",
    })
}

/// Another card, or a device that is made of cards.
pub fn other(card: &Interface) -> String {
    let mut text = format!("{HEADER}[Match]\n");
    if let Some(kind) = kind(card) {
        let _ = writeln!(text, "Name={}\nKind={kind}", card.id);
    } else {
        if let Some(mac) = card.selector.mac {
            // A bond gives its own address to its cards.
            let key = if card.bond.is_some() { "PermanentMACAddress" } else { "MACAddress" };
            let _ = writeln!(text, "{key}={mac}");
        }
        if let Some(name) = &card.selector.name {
            // A pattern may fit the pods' ends of their links too, which are no cards.
            let _ = writeln!(text, "Name={name}\nKind=!*");
        }
        text.push_str("Type=ether\n");
    }
    link(&mut text, card);
    let _ = write!(text, "\n[Network]\nDHCP={}\n", dhcp(card));
    made_of(&mut text, card);
    for address in &card.addresses {
        let _ = writeln!(text, "Address={address}");
    }
    names(&mut text, card);
    if let Some(accept) = card.accept_ra.or(card.dhcp6.then_some(true)) {
        let _ = writeln!(text, "IPv6AcceptRA={}", yes(accept));
    }
    rest(&mut text, card);
    text
}

fn link(text: &mut String, card: &Interface) {
    if card.mtu.is_none() && !card.optional {
        return;
    }
    text.push_str("\n[Link]\n");
    if let Some(mtu) = card.mtu {
        let _ = writeln!(text, "MTUBytes={mtu}");
    }
    if card.optional {
        text.push_str("RequiredForOnline=no\n");
    }
}

/// What is made of a card.
fn made_of(text: &mut String, card: &Interface) {
    for vlan in &card.vlans {
        let _ = writeln!(text, "VLAN={vlan}");
    }
    if let Some(bond) = &card.bond {
        let _ = writeln!(text, "Bond={bond}");
    }
    if card.primary {
        text.push_str("PrimarySlave=yes\n");
    }
}

fn names(text: &mut String, card: &Interface) {
    for server in &card.dns {
        let _ = writeln!(text, "DNS={server}");
    }
    if !card.search.is_empty() {
        let _ = writeln!(text, "Domains={}", card.search.join(" "));
    }
}

/// What DHCP may set, and the routes.
fn rest(text: &mut String, card: &Interface) {
    if card.dhcp4 && (card.route_metric.is_some() || card.use_dns.is_some() || card.use_routes.is_some()) {
        text.push_str("\n[DHCPv4]\n");
        if let Some(metric) = card.route_metric {
            let _ = writeln!(text, "RouteMetric={metric}");
        }
        if let Some(used) = card.use_dns {
            let _ = writeln!(text, "UseDNS={}", yes(used));
        }
        if let Some(used) = card.use_routes {
            let _ = writeln!(text, "UseRoutes={}", yes(used));
        }
    }
    for Route { to, via, metric, on_link } in &card.routes {
        let _ = write!(text, "\n[Route]\nDestination={to}\n");
        if let Some(via) = via {
            let _ = writeln!(text, "Gateway={via}");
        }
        if *on_link {
            text.push_str("GatewayOnLink=yes\n");
        }
        if let Some(metric) = metric {
            let _ = writeln!(text, "Metric={metric}");
        }
    }
}

fn dhcp(card: &Interface) -> &'static str {
    match (card.dhcp4, card.dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
