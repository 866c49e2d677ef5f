//! Version 1 of `network-config`: physical cards, VLANs and bonds with their subnets, resolvers and routes.
//! <https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v1.html>

use std::net::IpAddr;

use ipnet::IpNet;

use crate::seed::card::{self, ONLY_CARDS, add, add_route, address, domain, id, mac, mtu, range, router};
use crate::seed::device;
use crate::seed::error::SeedError;
use crate::seed::reader::{At, Keys};
use crate::settings::interface::{Interface, Route, Selector};
use crate::settings::{Settings, Sourced};

const ENTRY: Keys = &[
    "accept-ra",
    "address",
    "bond_interfaces",
    "destination",
    "gateway",
    "mac_address",
    "metric",
    "mtu",
    "name",
    "netmask",
    "params",
    "search",
    "subnets",
    "type",
    "vlan_id",
    "vlan_link",
];
const SUBNET: Keys = &["address", "dns_nameservers", "dns_search", "gateway", "netmask", "routes", "type"];
const ROUTE: Keys = &["destination", "gateway", "metric", "netmask", "network", "prefix"];

type Found<'a, 'b> = &'b [(&'a str, At<'a>)];

fn get<'a, 'b>(keys: Found<'a, 'b>, name: &str) -> Option<&'b At<'a>> {
    keys.iter().find(|(key, at)| *key == name && !at.is_null()).map(|(_, at)| at)
}

fn made_of_cards(kind: &At<'_>, what: &str) -> SeedError {
    kind.error(format!("`{}`: {what}; {ONLY_CARDS}", kind.path))
}

/// Reads the list `config`; `origin` names the text in the record.
pub fn parse(at: &At<'_>, origin: &str, ignored: &mut Vec<String>) -> Result<Settings, SeedError> {
    let (mut settings, mut places) = (Settings::default(), Vec::new());
    let mut routes = Vec::new();
    let (mut resolvers, mut resolvers_at) = (Vec::new(), None);
    for at in at.limited(at.list()?)? {
        let keys = at.keys(ENTRY, ignored)?;
        let Some(kind) = get(&keys, "type") else { return Err(at.wrong("an entry with `type`")) };
        match kind.text()? {
            kind @ ("physical" | "bond" | "vlan") => {
                add(&mut settings, interface(&at, &keys, kind, ignored)?, &at, origin)?;
                places.push(at);
            }
            "nameserver" => {
                resolvers.extend(get(&keys, "address").map(card::resolvers).transpose()?.unwrap_or_default());
                resolvers_at = Some(format!("{origin}, {}", at.path));
                ignored.extend(get(&keys, "search").map(|at| at.path.clone()));
            }
            "route" => routes.push((at.clone(), route(&at, &keys)?)),
            // Every machine has it.
            "loopback" => ignored.push(at.path.clone()),
            "bridge" => return Err(made_of_cards(kind, "a bridge")),
            "infiniband" => return Err(made_of_cards(kind, "an InfiniBand card")),
            _ => return Err(kind.wrong("`physical`, `vlan`, `bond`, `nameserver` or `route`")),
        }
    }
    device::connect(&mut settings, &places)?;
    // Resolvers of the whole machine stand behind those of a card.
    for card in settings.interfaces.iter_mut().filter(|card| card.value.made.is_none()) {
        card.value.dns.extend(&resolvers);
    }
    if settings.interfaces.is_empty() {
        settings.dns = resolvers_at.map(|origin| Sourced::new(resolvers, origin));
    }
    for (at, route) in routes {
        let home = settings.interfaces.iter_mut().find(|card| {
            route.via.is_some_and(|via| card.value.addresses.iter().any(|net| net.contains(&via)))
        });
        let Some(home) = home else {
            return Err(at.error(format!("`{}`: no address reaches its gateway", at.path)));
        };
        add_route(&mut home.value, route, &at)?;
    }
    Ok(settings)
}

fn interface(
    at: &At<'_>,
    keys: Found<'_, '_>,
    kind: &str,
    ignored: &mut Vec<String>,
) -> Result<Interface, SeedError> {
    let Some(name) = get(keys, "name") else { return Err(at.wrong("a card with `name`")) };
    let check = if kind == "physical" { id } else { device::name };
    let mut card = Interface { id: check(name.text()?, name)?, ..Interface::default() };
    match kind {
        "bond" => {
            let Some(cards) = get(keys, "bond_interfaces") else {
                return Err(at.wrong("a bond with `bond_interfaces`"));
            };
            card.made = Some(device::bond(cards, get(keys, "params"), ignored)?);
        }
        "vlan" => {
            let (Some(number), Some(link)) = (get(keys, "vlan_id"), get(keys, "vlan_link")) else {
                return Err(at.wrong("a VLAN with `vlan_id` and `vlan_link`"));
            };
            card.made = Some(device::vlan(number, link)?);
        }
        _ => {
            card.selector = match get(keys, "mac_address") {
                Some(at) => Selector { mac: Some(mac(at)?), name: None },
                None => Selector { mac: None, name: Some(card.id.clone()) },
            };
        }
    }
    card.mtu = get(keys, "mtu").map(mtu).transpose()?;
    card.accept_ra = get(keys, "accept-ra").map(At::boolean).transpose()?;
    for at in get(keys, "subnets").map(At::list).transpose()?.unwrap_or_default() {
        let keys = at.keys(SUBNET, ignored)?;
        let Some(kind) = get(&keys, "type") else { return Err(at.wrong("a subnet with `type`")) };
        match kind.text()? {
            "dhcp" | "dhcp4" => card.dhcp4 = true,
            "dhcp6" | "ipv6_dhcpv6-stateful" | "ipv6_dhcpv6-stateless" => card.dhcp6 = true,
            "ipv6_slaac" => card.accept_ra = Some(true),
            "manual" => {}
            "static" | "static6" => subnet(&mut card, &at, &keys)?,
            _ => return Err(kind.wrong("`static`, `static6`, `dhcp`, `dhcp6`, `ipv6_slaac` or `manual`")),
        }
        let list =
            |name: &str| get(&keys, name).map(At::list_or_one).transpose().map(Option::unwrap_or_default);
        card.dns.extend(get(&keys, "dns_nameservers").map(card::resolvers).transpose()?.unwrap_or_default());
        card.search.extend(list("dns_search")?.iter().map(domain).collect::<Result<Vec<_>, _>>()?);
        for at in list("routes")? {
            add_route(&mut card, route(&at, &at.keys(ROUTE, ignored)?)?, &at)?;
        }
    }
    Ok(card)
}

fn subnet(card: &mut Interface, at: &At<'_>, keys: Found<'_, '_>) -> Result<(), SeedError> {
    let Some(own) = get(keys, "address") else { return Err(at.wrong("a static subnet with `address`")) };
    let net = match get(keys, "netmask") {
        Some(mask) if !own.text()?.contains('/') => Some(masked(own, mask)?)
            .filter(card::can_be_own)
            .ok_or_else(|| own.wrong("an address of a card, like `192.168.122.11`"))?,
        _ => address(own)?,
    };
    card.addresses.push(net);
    if let Some(at) = get(keys, "gateway") {
        add_route(card, Route::default_via(router(at)?), at)?;
    }
    Ok(())
}

fn route(at: &At<'_>, keys: Found<'_, '_>) -> Result<Route, SeedError> {
    let Some(via) = get(keys, "gateway") else { return Err(at.wrong("a route with `gateway`")) };
    let default = Route::default_via(router(via)?);
    let to = match (
        get(keys, "destination").or(get(keys, "network")),
        get(keys, "netmask").or(get(keys, "prefix")),
    ) {
        (None, _) => default.to,
        (Some(to), Some(mask)) if !to.text()?.contains('/') => masked(to, mask)?.trunc(),
        (Some(to), _) => range(to)?,
    };
    let metric = get(keys, "metric").map(|at| at.parse("a number, like 100")).transpose()?;
    Ok(Route { to, metric, ..default })
}

/// An address whose prefix is a netmask or a number of its own.
fn masked(at: &At<'_>, mask: &At<'_>) -> Result<IpNet, SeedError> {
    let ip: IpAddr = at.parse("an address, like `192.168.122.11`")?;
    let text = mask.text()?;
    let net = match text.parse() {
        Ok(mask) => IpNet::with_netmask(ip, mask).ok(),
        Err(_) => text.parse().ok().and_then(|length| IpNet::new(ip, length).ok()),
    };
    net.ok_or_else(|| mask.wrong("a netmask, like `255.255.255.0`"))
}
