//! `network-config`: version 2, which is netplan's, and the way to version 1. Ethernet cards, VLANs and bonds: every
//! other device is refused by what it is.
//! <https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v2.html>

use std::net::IpAddr;

use ipnet::IpNet;

use crate::console::shown;
use crate::seed::card::{
    ONLY_CARDS, add, add_route, address, domain, id, mac, mtu, own, range, resolvers, router,
};
use crate::seed::error::SeedError;
use crate::seed::reader::{At, Keys};
use crate::seed::{device, network_v1, yaml};
use crate::settings::Settings;
use crate::settings::interface::{Interface, Route, Selector};

const KEYS: Keys = &["bonds", "config", "ethernets", "version", "vlans"];
/// What every device has.
const DEVICE: Keys = &[
    "accept-ra",
    "addresses",
    "dhcp4",
    "dhcp4-overrides",
    "dhcp6",
    "gateway4",
    "gateway6",
    "mtu",
    "nameservers",
    "optional",
    "routes",
];
const CARD: Keys = &["match"];
const BOND: Keys = &["interfaces", "parameters"];
const VLAN: Keys = &["id", "link"];
const OVERRIDES: Keys = &["route-metric", "use-dns", "use-routes"];
const ROUTE: Keys = &["metric", "on-link", "to", "via"];

/// What version 2 has besides, by its keys.
const DEVICES: [(&str, &str); 8] = [
    ("bridges", "a bridge"),
    ("dummy-devices", "a dummy card"),
    ("modems", "a modem"),
    ("nm-devices", "a device of NetworkManager"),
    ("tunnels", "a tunnel"),
    ("virtual-ethernets", "a virtual card"),
    ("vrfs", "a VRF"),
    ("wifis", "a wireless card"),
];

/// Reads it; `origin` names it in the record.
pub fn parse(text: &str, origin: &str) -> Result<Settings, SeedError> {
    let node = yaml::parse(text)?;
    let mut top = At::whole(&node);
    // The whole may stand under `network`, as in cloud-init's own configuration.
    let entries = top.entries()?;
    if let Some((_, inner)) = entries.iter().find(|(key, _)| *key == "network") {
        if let Some((key, at)) = entries.iter().find(|(key, _)| *key != "network") {
            let message = format!("`{}` stands beside `network`; indent it to stand under it", shown(key));
            return Err(at.error(message));
        }
        top = inner.clone();
    }
    let entries = top.entries()?;
    for (key, what) in DEVICES {
        if let Some((_, at)) = entries.iter().find(|(found, at)| *found == key && !at.is_null()) {
            return Err(at.error(format!("`{}`: {what}; {ONLY_CARDS}", shown(&at.path))));
        }
    }
    let mut ignored = Vec::new();
    let keys = top.keys(KEYS, &mut ignored)?;
    let get = |name| find(&keys, name);
    let mut settings = match get("version") {
        None if keys.is_empty() => Settings::default(),
        // cloud-init's word for: leave the network alone.
        None if get("config").is_some_and(|at| at.as_text() == Some("disabled")) => Settings::default(),
        None => return Err(top.error("there is no `version`; write `version: 2`")),
        Some(at) => {
            match (at.text()?, get("config"), DEVICE_KEYS.iter().any(|(key, _)| get(key).is_some())) {
                ("1", config, false) => config.map_or_else(
                    || Ok(Settings::default()),
                    |at| network_v1::parse(at, origin, &mut ignored),
                )?,
                ("2", None, _) => {
                    let (mut settings, mut places) = (Settings::default(), Vec::new());
                    for (key, read) in DEVICE_KEYS {
                        let devices =
                            get(key).map(|at| at.limited(at.entries()?)).transpose()?.unwrap_or_default();
                        for (name, at) in devices {
                            add(&mut settings, read(name, &at, &mut ignored)?, &at, origin)?;
                            places.push(at);
                        }
                    }
                    device::connect(&mut settings, &places)?;
                    settings
                }
                ("1" | "2", ..) => return Err(at.error("version 1 has `config`, version 2 has `ethernets`")),
                _ => return Err(at.wrong("1 or 2")),
            }
        }
    };
    settings.ignored = ignored.into_iter().map(|key| format!("{origin}, {key}")).collect();
    Ok(settings)
}

/// The value of a key.
fn find<'a, 'b>(keys: &'b [(&str, At<'a>)], name: &str) -> Option<&'b At<'a>> {
    keys.iter().find(|(key, _)| *key == name).map(|(_, at)| at)
}

/// Reads a device by its name.
type Read = fn(&str, &At<'_>, &mut Vec<String>) -> Result<Interface, SeedError>;

/// What is applied, in an order in which whatever something is made of comes first.
const DEVICE_KEYS: [(&str, Read); 3] = [("ethernets", ethernet), ("bonds", bond), ("vlans", vlan)];

fn ethernet(name: &str, at: &At<'_>, ignored: &mut Vec<String>) -> Result<Interface, SeedError> {
    let mut card = Interface { id: id(name, at)?, ..Interface::default() };
    card.selector.name = Some(name.to_owned());
    apply(&mut card, at.keys(&[DEVICE, CARD].concat(), ignored)?, ignored)?;
    Ok(card)
}

fn bond(name: &str, at: &At<'_>, ignored: &mut Vec<String>) -> Result<Interface, SeedError> {
    let mut bond = Interface { id: device::name(name, at)?, ..Interface::default() };
    let keys = at.keys(&[DEVICE, BOND].concat(), ignored)?;
    let get = |name| find(&keys, name);
    let Some(cards) = get("interfaces") else { return Err(at.wrong("a bond with `interfaces`")) };
    bond.made = Some(device::bond(cards, get("parameters"), ignored)?);
    apply(&mut bond, keys, ignored)?;
    Ok(bond)
}

fn vlan(name: &str, at: &At<'_>, ignored: &mut Vec<String>) -> Result<Interface, SeedError> {
    let mut vlan = Interface { id: device::name(name, at)?, ..Interface::default() };
    let keys = at.keys(&[DEVICE, VLAN].concat(), ignored)?;
    let get = |name| find(&keys, name);
    let (Some(number), Some(link)) = (get("id"), get("link")) else {
        return Err(at.wrong("a VLAN with `id` and `link`"));
    };
    vlan.made = Some(device::vlan(number, link)?);
    apply(&mut vlan, keys, ignored)?;
    Ok(vlan)
}

/// Applies the keys that every device has.
fn apply(
    card: &mut Interface,
    keys: Vec<(&str, At<'_>)>,
    ignored: &mut Vec<String>,
) -> Result<(), SeedError> {
    for (key, at) in keys {
        match key {
            _ if at.is_null() => {}
            // What it is made of was read before.
            "id" | "interfaces" | "link" | "parameters" => {}
            "accept-ra" => card.accept_ra = Some(at.boolean()?),
            "addresses" => {
                let list = at.list()?;
                card.addresses = list.iter().map(|at| own_address(at, ignored)).collect::<Result<_, _>>()?;
            }
            "dhcp4" => card.dhcp4 = at.boolean()?,
            "dhcp6" => card.dhcp6 = at.boolean()?,
            "dhcp4-overrides" => overrides(card, &at, ignored)?,
            "gateway4" | "gateway6" => {
                let via = router(&at)?;
                if via.is_ipv4() != (key == "gateway4") {
                    return Err(at.wrong("an address of the other version of IP"));
                }
                add_route(card, Route::default_via(via), &at)?;
            }
            "match" => card.selector = selector(&at)?,
            "mtu" => card.mtu = Some(mtu(&at)?),
            "nameservers" => (card.dns, card.search) = nameservers(&at, ignored)?,
            "optional" => card.optional = at.boolean()?,
            _ => {
                for at in at.list()? {
                    add_route(card, route(&at)?, &at)?;
                }
            }
        }
    }
    Ok(())
}

/// An address, alone or with more about it, which is ignored.
fn own_address(at: &At<'_>, ignored: &mut Vec<String>) -> Result<IpNet, SeedError> {
    if !at.is_map() {
        return address(at);
    }
    match at.entries()?.as_slice() {
        [(text, about)] => {
            about.keys(&[], ignored)?;
            own(text).ok_or_else(|| {
                at.error(format!("`{}` is no address with the length of its prefix", shown(text)))
            })
        }
        _ => Err(at.wrong("one address with the length of its prefix, like `192.168.122.11/24`")),
    }
}

fn overrides(card: &mut Interface, at: &At<'_>, ignored: &mut Vec<String>) -> Result<(), SeedError> {
    for (key, at) in at.keys(OVERRIDES, ignored)? {
        match key {
            "route-metric" => card.route_metric = Some(at.parse("a number, like 200")?),
            "use-dns" => card.use_dns = Some(at.boolean()?),
            _ => card.use_routes = Some(at.boolean()?),
        }
    }
    Ok(())
}

fn selector(at: &At<'_>) -> Result<Selector, SeedError> {
    let mut selector = Selector::default();
    for (key, at) in at.only(&["macaddress", "name"], "a card is meant")? {
        match key {
            "macaddress" => selector.mac = Some(mac(&at)?),
            _ => selector.name = Some(card_name(&at)?),
        }
    }
    if selector == Selector::default() {
        return Err(at.wrong("`macaddress` or `name`"));
    }
    Ok(selector)
}

fn nameservers(at: &At<'_>, ignored: &mut Vec<String>) -> Result<(Vec<IpAddr>, Vec<String>), SeedError> {
    let (mut addresses, mut search) = (Vec::new(), Vec::new());
    for (key, at) in at.keys(&["addresses", "search"], ignored)? {
        match key {
            "addresses" => addresses = resolvers(&at)?,
            _ => search = at.list_or_one()?.iter().map(domain).collect::<Result<_, _>>()?,
        }
    }
    Ok((addresses, search))
}

fn route(at: &At<'_>) -> Result<Route, SeedError> {
    let (mut to, mut via, mut metric, mut on_link) = (None, None, None, false);
    for (key, at) in at.only(ROUTE, "a route is meant")? {
        match key {
            "metric" => metric = Some(at.parse("a number, like 100")?),
            "on-link" => on_link = at.boolean()?,
            "to" if at.as_text() == Some("default") => to = None,
            "to" => to = Some(range(&at)?),
            _ => via = Some(router(&at)?),
        }
    }
    let Some(via) = via else { return Err(at.wrong("a route with `to` and `via`")) };
    let route = Route { metric, on_link, ..Route::default_via(via) };
    let to = to.unwrap_or(route.to);
    if to.addr().is_ipv4() != via.is_ipv4() {
        return Err(
            at.error(format!("`{}` goes to {to} by way of {via}; write both in IPv4 or in IPv6", at.path))
        );
    }
    Ok(Route { to, ..route })
}

/// The kernel's name of a card, or a pattern with `*`.
fn card_name(at: &At<'_>) -> Result<String, SeedError> {
    let name = at.text()?;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'*');
    if (1..=32).contains(&name.len()) && name.bytes().all(inner) {
        return Ok(name.to_owned());
    }
    Err(at.wrong("the name of a network card, like `enp1s0` or `en*`"))
}
