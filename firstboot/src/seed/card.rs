//! The values of network cards, whichever version of network-config has them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::console::shown;
use crate::schema::Mac;
use crate::seed::error::SeedError;
use crate::seed::reader::At;
use crate::settings::interface::{Interface, Route};
use crate::settings::{Settings, Sourced};

/// What Kiln does with devices that are made of cards, or are none.
pub const ONLY_CARDS: &str = "Kiln's images set up Ethernet cards, VLANs and bonds";

const LARGEST_MTU: u32 = 65535;

/// Adds a card: its name is that of a file.
pub fn add(settings: &mut Settings, card: Interface, at: &At<'_>, origin: &str) -> Result<(), SeedError> {
    if settings.interfaces.iter().any(|known| known.value.id == card.id) {
        return Err(at.error(format!("`{}` is a second card `{}`; give each its own name", at.path, card.id)));
    }
    settings.interfaces.push(Sourced::new(card, format!("{origin}, {}", at.path)));
    Ok(())
}

/// Adds a route to a card, once. Of two default routes of IPv4 of one weight the kernel would take whichever it likes.
pub fn add_route(card: &mut Interface, route: Route, at: &At<'_>) -> Result<(), SeedError> {
    let is_default = route.to.prefix_len() == 0 && route.to.addr().is_ipv4();
    let rivals =
        |known: &Route| known.to == route.to && known.metric == route.metric && known.via != route.via;
    if is_default && card.routes.iter().any(rivals) {
        let message =
            "is a second default route of the card, of the same weight; give one of them a `metric`";
        return Err(at.error(format!("`{}` {message}", at.path)));
    }
    if !card.routes.contains(&route) {
        card.routes.push(route);
    }
    Ok(())
}

/// A name that is fit for a file of systemd-networkd.
pub fn id(name: &str, at: &At<'_>) -> Result<String, SeedError> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    if (1..=32).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('.') {
        return Ok(name.replace(':', "_"));
    }
    Err(at.error(format!("`{}` is no name of a network card", shown(name))))
}

/// An Ethernet address.
pub fn mac(at: &At<'_>) -> Result<Mac, SeedError> {
    at.parse("six pairs of hexadecimal digits in quotes, like `\"52:54:00:12:34:56\"`")
}

/// An address that a card can have, with the length of its prefix.
pub fn own(text: &str) -> Option<IpNet> {
    text.trim().parse().ok().filter(can_be_own)
}

/// Whether a card can have it.
pub fn can_be_own(net: &IpNet) -> bool {
    net.prefix_len() > 0 && is_usable(net.addr())
}

/// An address with the length of its prefix.
pub fn address(at: &At<'_>) -> Result<IpNet, SeedError> {
    at.as_text()
        .and_then(own)
        .ok_or_else(|| at.wrong("an address with the length of its prefix, like `192.168.122.11/24`"))
}

/// The address of a router or resolver.
pub fn router(at: &At<'_>) -> Result<IpAddr, SeedError> {
    let ip: Option<IpAddr> = at.as_text().and_then(|text| text.trim().parse().ok());
    ip.filter(|ip| is_usable(*ip)).ok_or_else(|| at.wrong("an address, like `192.168.122.1`"))
}

/// Resolvers: a list, or one text with several.
pub fn resolvers(at: &At<'_>) -> Result<Vec<IpAddr>, SeedError> {
    let mut found = Vec::new();
    for at in at.list_or_one()? {
        let words = at.text()?.split([' ', ',']).filter(|word| !word.is_empty());
        for word in words {
            let ip: Option<IpAddr> = word.parse().ok();
            found.push(
                ip.filter(|ip| is_usable(*ip)).ok_or_else(|| at.wrong("an address, like `192.168.122.1`"))?,
            );
        }
    }
    Ok(found)
}

/// A range of addresses.
pub fn range(at: &At<'_>) -> Result<IpNet, SeedError> {
    let net: Option<IpNet> = at.as_text().and_then(|text| text.trim().parse().ok());
    net.filter(|net| *net == net.trunc()).ok_or_else(|| at.wrong("a range of addresses, like `10.0.0.0/8`"))
}

/// A domain to look short names up in.
pub fn domain(at: &At<'_>) -> Result<String, SeedError> {
    let domain = at.text()?;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if (1..=253).contains(&domain.len()) && domain.bytes().all(inner) {
        return Ok(domain.to_owned());
    }
    Err(at.wrong("a domain, like `example.org`"))
}

/// The size of a packet: what IPv4 asks of every link at least.
pub fn mtu(at: &At<'_>) -> Result<u32, SeedError> {
    let expected = "a number of bytes from 576 to 65535";
    let mtu = at.parse(expected)?;
    if (576..=LARGEST_MTU).contains(&mtu) { Ok(mtu) } else { Err(at.wrong(expected)) }
}

fn is_usable(ip: IpAddr) -> bool {
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
}
