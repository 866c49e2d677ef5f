//! What values of a profile mean together: ranges that must not overlap, names and addresses that must be unique.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;

use firstboot::files::API_NAME;
use firstboot::schema::{self, Mac};
use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};
use toml::Spanned;

use crate::ground::error::InputError;
use crate::profile::endpoint::{is_host, is_label};
use crate::profile::model::{Lines, Machine, Profile, Settings, Validity};
use crate::profile::raw::{Node, Raw};
use crate::profile::source::{Source, inside};
use crate::profile::{addresses, api, grammar, raw};

/// The machine of a node when the profile does not say.
const CPUS: u32 = 1;
const MEMORY_MIB: u64 = 1536;

/// What Debian's kernel, its initramfs and systemd come up with.
const LEAST_MEMORY_MIB: u64 = 256;

/// Years from the lock's epoch to the end of authorities and of all other certificates, when the profile does not say.
const AUTHORITY_YEARS: u32 = 20;
const CERTIFICATE_YEARS: u32 = 10;

/// Names that a node's hosts file has for something else.
const RESERVED: [&str; 5] = [API_NAME, "localhost", "ip6-allnodes", "ip6-allrouters", "ip6-loopback"];

/// Longest domain: with a node's name before it, it is a DNS name of at most 253 characters.
const MAX_DOMAIN: usize = 189;

/// The sizes of a Service range that the API server takes.
const SERVICE_PREFIXES: std::ops::RangeInclusive<u8> = 12..=29;

pub(super) fn resolve(path: &Path, text: &str, name: String, raw: Raw) -> Result<Profile, InputError> {
    let source = Source { path, text };
    let Raw { cluster, network, node: nodes, options, settings: given, pki } = raw;
    addresses::check(&source, &network, &nodes)?;
    names(&source, &cluster.name, &cluster.domain, &cluster.cluster_domain)?;
    let mut all =
        vec![("cluster.pod-cidr", &cluster.pod_cidr), ("cluster.service-cidr", &cluster.service_cidr)];
    all.extend(network.cidr.as_ref().map(|cidr| ("network.cidr", cidr)));
    ranges(&source, &all)?;
    let services = &cluster.service_cidr;
    if !SERVICE_PREFIXES.contains(&services.get_ref().prefix_len()) {
        let message = format!("`cluster.service-cidr` {} is too large or too small", services.get_ref());
        return source.refuse(services.span(), message, "choose a range from /12 to /29");
    }
    for server in &network.ntp {
        if !is_host(server.get_ref()) {
            let message =
                format!("`network.ntp`: `{}` is neither a DNS name nor an address", server.get_ref());
            return source.refuse(
                server.span(),
                message,
                "write it like `ntp.example.org` or `192.168.122.1`",
            );
        }
    }
    let ntp = network.ntp.into_iter().map(Spanned::into_inner).collect();
    let cidr = network.cidr.as_ref().map(|cidr| cidr.get_ref().trunc());
    let virtual_address = cluster.api.virtual_address.clone();
    let api = api::resolve(&source, cluster.api, cluster.domain.get_ref(), cidr)?;
    if let (Some(gateway), Some(cidr)) = (&network.gateway, cidr) {
        inside(&source, "network.gateway", gateway, cidr)?;
    }
    for (slot, part) in options.by_slot() {
        label(&source, &format!("options.{slot}"), part)?;
    }
    addons(&source, options.addons.as_deref().unwrap_or_default())?;
    for key in &options.ssh_keys {
        if let Err(fact) = grammar::ssh_key(key.get_ref()) {
            let message = format!("`options.ssh-keys`: {fact}");
            return source.refuse(
                key.span(),
                message,
                "each is a line of a .pub file, as ssh-keygen writes it",
            );
        }
    }
    let mut lines = Lines {
        slots: options.by_slot().map(|(slot, part)| (slot.to_owned(), source.line(part.span()))).into(),
        services: source.line(services.span()),
        addons: options.addons.iter().flatten().map(|addon| source.line(addon.span())).collect(),
        ..Lines::default()
    };
    let mut settings = Settings::new();
    for (program, table) in given {
        for (name, value) in table {
            lines.settings.insert((program.clone(), name.clone()), source.line(value.span()));
            settings.entry(program.clone()).or_default().insert(name, value.into_inner());
        }
    }
    let pki = validity(&source, pki, &mut lines)?;
    let release = cluster.release.map(|release| {
        lines.release = source.line(release.span());
        release.into_inner()
    });
    let cluster_name = cluster.name.into_inner();
    let pods = cluster.pod_cidr.get_ref().trunc();
    let mut resolved = Vec::new();
    let mut machines = BTreeMap::new();
    let mut seen = Seen::default();
    if let Some(gateway) = &network.gateway {
        seen.ips.insert(*gateway.get_ref(), "the gateway".to_owned());
    }
    if let Some(address) = virtual_address
        && let Some(by) = seen.ips.insert(*address.get_ref(), "the virtual address".to_owned())
    {
        let message = format!("`cluster.api.virtual-address` {} is taken by {by}", address.get_ref());
        return source.refuse(address.span(), message, "choose an address that nobody has");
    }
    if nodes.is_empty() {
        return source.refuse(
            0..0,
            "`node` is empty: a cluster needs at least one".to_owned(),
            "add a `[[node]]`",
        );
    }
    for node in nodes {
        lines.nodes.push(source.line(node.span()));
        let node = node.into_inner();
        label(&source, "role", &node.role)?;
        lines.roles.push(source.line(node.role.span()));
        if let (Some(ip), Some(cidr)) = (&node.ip, cidr) {
            inside(&source, "ip", ip, cidr)?;
        }
        if let Some(own) = node.pod_cidr.as_ref().filter(|own| !pods.contains(own.get_ref())) {
            let message = format!("`pod-cidr` {} lies outside `cluster.pod-cidr` {}", own.get_ref(), pods);
            return source.refuse(own.span(), message, "choose a range inside it");
        }
        let mac = node.mac.clone().unwrap_or_else(|| derived_mac(&cluster_name, node.name.get_ref()));
        seen.add(&source, &node, &mac)?;
        machine(&source, &node)?;
        let name = node.name.into_inner();
        machines.insert(
            name.clone(),
            Machine {
                cpus: node.cpus.map_or(CPUS, Spanned::into_inner),
                memory_mib: node.memory.map_or(MEMORY_MIB, |size| size.get_ref().0),
                disk_mib: node.disk.map(|size| size.0),
                labels: node.labels.into_iter().map(|(key, value)| (key, value.into_inner())).collect(),
                taints: node.taints.into_iter().map(Spanned::into_inner).collect(),
            },
        );
        resolved.push(schema::Node {
            name,
            role: node.role.into_inner(),
            // The recipes know; `plan` reads them, and gives each that runs pods a range.
            duties: BTreeSet::new(),
            mac: mac.into_inner(),
            ip: node.ip.map(Spanned::into_inner),
            pod_cidr: node.pod_cidr.map(|own| own.into_inner().trunc()),
        });
    }
    let cluster = schema::Cluster {
        version: schema::VERSION,
        name: cluster_name,
        release: String::new(),
        domain: cluster.domain.into_inner(),
        cluster_domain: cluster.cluster_domain.into_inner(),
        pod_cidr: pods,
        service_cidr: cluster.service_cidr.get_ref().trunc(),
        network: schema::Network {
            cidr,
            gateway: network.gateway.map(Spanned::into_inner),
            dns: network.dns.map(Spanned::into_inner).unwrap_or_default(),
        },
        metadata: options.metadata,
        nodes: resolved,
    };
    Ok(Profile {
        path: path.to_owned(),
        lines,
        name,
        release,
        cluster,
        api,
        ntp,
        machines,
        options,
        settings,
        pki,
    })
}

/// What certificates depend on. Whether labels are those of keys is seen when there are keys.
fn validity(source: &Source<'_>, pki: raw::Pki, lines: &mut Lines) -> Result<Validity, InputError> {
    let years = |key: &str, given: Option<&Spanned<u32>>, default: u32| match given {
        Some(years) if *years.get_ref() == 0 => {
            let message = format!("`pki.{key}` 0: no certificate would be valid");
            source.refuse(years.span(), message, "say for how many years, from the lockfile's epoch on")
        }
        Some(years) => Ok(*years.get_ref()),
        None => Ok(default),
    };
    let authority_years = years("authority-years", pki.authority_years.as_ref(), AUTHORITY_YEARS)?;
    let certificate_years = years("certificate-years", pki.certificate_years.as_ref(), CERTIFICATE_YEARS)?;
    let given = pki.certificate_years.as_ref().or(pki.authority_years.as_ref());
    lines.validity = given.map_or(1, |years| source.line(years.span()));
    let mut generation = BTreeMap::new();
    for (label, number) in pki.generation {
        lines.generations.insert(label.clone(), source.line(number.span()));
        generation.insert(label, number.into_inner());
    }
    Ok(Validity { authority_years, certificate_years, generation })
}

/// The cluster's name and domains are DNS names (RFC 1123).
fn names(
    source: &Source<'_>,
    name: &Spanned<String>,
    domain: &Spanned<String>,
    cluster_domain: &Spanned<String>,
) -> Result<(), InputError> {
    label(source, "cluster.name", name)?;
    for (key, value) in [("cluster.domain", domain), ("cluster.cluster-domain", cluster_domain)] {
        if value.get_ref().len() > MAX_DOMAIN || !value.get_ref().split('.').all(is_label) {
            let message = format!("`{key}` `{}` is not a DNS name", value.get_ref());
            return source.refuse(
                value.span(),
                message,
                "lower-case letters, digits and hyphens between dots, 189 characters at most",
            );
        }
    }
    Ok(())
}

fn label(source: &Source<'_>, key: &str, value: &Spanned<String>) -> Result<(), InputError> {
    if is_label(value.get_ref()) {
        return Ok(());
    }
    let message = format!("`{key}` `{}` is not a DNS label", value.get_ref());
    source.refuse(
        value.span(),
        message,
        "lower-case letters, digits and hyphens, 63 at most, a letter or digit at each end",
    )
}

/// What a machine and its Node object can be like.
fn machine(source: &Source<'_>, node: &Node) -> Result<(), InputError> {
    if let Some(cpus) = node.cpus.as_ref().filter(|cpus| *cpus.get_ref() == 0) {
        return source.refuse(cpus.span(), "`cpus` is 0".to_owned(), "a machine has at least one");
    }
    if let Some(memory) = node.memory.as_ref().filter(|memory| memory.get_ref().0 < LEAST_MEMORY_MIB) {
        let message = format!("`memory` is {} MiB, and no machine boots with that", memory.get_ref().0);
        let hint = format!("write at least `{LEAST_MEMORY_MIB}MiB`; a worker takes `1536MiB`");
        return source.refuse(memory.span(), message, &hint);
    }
    for (key, value) in &node.labels {
        if let Err(fact) = grammar::key(key).and_then(|()| grammar::value(value.get_ref())) {
            let message = format!("`labels`: `{}`: {fact}", key.escape_default());
            return source.refuse(
                value.span(),
                message,
                "write it like `{ \"example.org/disk\" = \"ssd\" }`",
            );
        }
    }
    let mut taints: Vec<grammar::Taint<'_>> = Vec::new();
    for text in &node.taints {
        let fact = match grammar::taint(text.get_ref()) {
            Ok(taint) if taints.iter().any(|other| other.is_same(&taint)) => {
                "its key and effect are there already".to_owned()
            }
            Ok(taint) => {
                taints.push(taint);
                continue;
            }
            Err(fact) => fact,
        };
        let message = format!("`taints`: `{}`: {fact}", text.get_ref().escape_default());
        return source.refuse(text.span(), message, "write it like `dedicated=database:NoSchedule`");
    }
    Ok(())
}

/// Which addons there are, and what each needs of the release, `plan` knows.
fn addons(source: &Source<'_>, addons: &[Spanned<String>]) -> Result<(), InputError> {
    for (index, addon) in addons.iter().enumerate() {
        label(source, "options.addons", addon)?;
        if addons[..index].iter().any(|other| other.get_ref() == addon.get_ref()) {
            let message = format!("`options.addons` names `{}` twice", addon.get_ref());
            return source.refuse(addon.span(), message, "name each addon once");
        }
    }
    Ok(())
}

fn ranges(source: &Source<'_>, ranges: &[(&str, &Spanned<Ipv4Net>)]) -> Result<(), InputError> {
    for (index, (key, range)) in ranges.iter().enumerate() {
        for (other_key, other) in &ranges[..index] {
            if overlap(*range.get_ref(), *other.get_ref()) {
                let message =
                    format!("`{key}` {} overlaps `{other_key}` {}", range.get_ref(), other.get_ref());
                return source.refuse(range.span(), message, "choose ranges that share no address");
            }
        }
    }
    Ok(())
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// In the range of QEMU's own addresses (52:54:00), a function of the names: it stays when nodes are added.
fn derived_mac(cluster: &str, node: &str) -> Spanned<Mac> {
    let digest = Sha256::digest(format!("kiln/mac/{cluster}/{node}"));
    Spanned::new(0..0, Mac([0x52, 0x54, 0x00, digest[0], digest[1], digest[2]]))
}

/// What earlier nodes have taken, each with its owner.
#[derive(Default)]
struct Seen {
    names: BTreeMap<String, String>,
    macs: BTreeMap<Mac, String>,
    ips: BTreeMap<Ipv4Addr, String>,
    pods: Vec<(Ipv4Net, String)>,
}

impl Seen {
    fn add(&mut self, source: &Source<'_>, node: &Node, mac: &Spanned<Mac>) -> Result<(), InputError> {
        label(source, "name", &node.name)?;
        let owner = node.name.get_ref();
        let taken = |key: &str, value: String, by: &str, span: Range<usize>| {
            let message = format!("`{key}` `{value}` of `{owner}` is taken by {by}");
            source.refuse(span, message, "every node needs its own")
        };
        if let Some(by) = self.names.insert(owner.clone(), "another node".to_owned()) {
            return taken("name", owner.clone(), &by, node.name.span());
        }
        if RESERVED.contains(&owner.as_str()) {
            let message =
                format!("`name` `{owner}` is taken: every node's hosts file has it for something else");
            return source.refuse(node.name.span(), message, "choose another name");
        }
        let by = format!("`{owner}`");
        if mac.get_ref().0[0] & 1 == 1 {
            let message = format!("`mac` {} is a multicast address", mac.get_ref());
            return source.refuse(mac.span(), message, "begin it with 52:54:00");
        }
        if let Some(other) = self.macs.insert(*mac.get_ref(), by.clone()) {
            return taken("mac", mac.get_ref().to_string(), &other, mac.span());
        }
        if let Some(ip) = &node.ip
            && let Some(other) = self.ips.insert(*ip.get_ref(), by.clone())
        {
            return taken("ip", ip.get_ref().to_string(), &other, ip.span());
        }
        let Some(pods) = &node.pod_cidr else { return Ok(()) };
        if let Some((range, other)) = self.pods.iter().find(|(range, _)| overlap(*range, *pods.get_ref())) {
            let message = format!("`pod-cidr` {} of `{owner}` overlaps {range} of {other}", pods.get_ref());
            return source.refuse(pods.span(), message, "every node needs its own");
        }
        self.pods.push((*pods.get_ref(), by));
        Ok(())
    }
}
