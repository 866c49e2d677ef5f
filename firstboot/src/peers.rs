//! `firstboot peers`: where DHCP gives the addresses, keeps the hosts file and the routes to the other nodes' pods true.
//! A node is found by multicast DNS, else as a Node object of the API server, else it is where it last was. Only
//! addresses come from there: whom to trust, certificates say. It does not know how these are asked.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;
use ipnet::Ipv4Net;

use crate::apply::{Change, apply};
use crate::args::Args;
use crate::console::Console;
use crate::error::Error;
use crate::facts::check::check_network;
use crate::files::{HOSTS_FILE, hosts, hosts_known};
use crate::header::HEADER;
use crate::image::Image;
use crate::machine::Machine;
use crate::ops::Ops;
use crate::plan::public;
use crate::record::Record;
use crate::resolved::{self, instance};
use crate::schema::Mac;

/// The node's own address for units, of this boot only; relative to the root.
pub const ADDRESS_FILE: &str = "run/kiln/address.env";
/// Prints a name and an address a line of every Node that the API server knows; an image may have it.
const LIST_NODES: &str = "usr/lib/kiln/list-nodes";
/// The units that take the address from [`ADDRESS_FILE`] are a part of it.
const ADDRESS_UNIT: &str = "kiln-address.target";

/// Between two passes, while somebody is missing and afterwards.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
/// How often the API server is asked for who is missing, in passes.
const EVERY: u32 = 5;
/// How long an answer of the neighbours is waited for.
const QUERY: Duration = Duration::from_secs(3);

/// What is asked of the running system; tests have their own.
pub trait System {
    /// The IPv4 address of a network card.
    ///
    /// # Errors
    /// The kernel's.
    fn address(&mut self, card: &str) -> io::Result<Option<Ipv4Net>>;

    /// Runs a program and returns its standard output.
    ///
    /// # Errors
    /// It cannot be started or fails; with its name and what it said.
    fn run(&mut self, program: &str, args: &[&str]) -> io::Result<String>;
}

/// Goes on for ever, or with `once` only until the own address is known and written, within `args.wait`.
///
/// # Errors
/// The machine is not configured, has no address in time, or its files cannot be written.
pub fn peers(
    args: &Args,
    once: bool,
    ops: &mut dyn Ops,
    system: &mut dyn System,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "a time-out, in no output")]
    let start = Instant::now();
    let mut node = Node::read(args)?;
    loop {
        match node.own(system)? {
            Some(own) if once => return node.write(own, ops, system, console),
            Some(own) => thread::sleep(PAUSES[usize::from(node.pass(own, ops, system, console)?)]),
            None if once && start.elapsed() >= args.wait => {
                return Err(Error::NoAddress { card: node.card, seconds: args.wait.as_secs() });
            }
            None => thread::sleep(PAUSES[0]),
        }
    }
}

/// This node and what it knows of the others.
#[derive(Debug)]
pub struct Node {
    root: PathBuf,
    machine: Machine,
    image: Image,
    name: String,
    hostname: String,
    card: Mac,
    known: BTreeMap<String, Ipv4Addr>,
    passes: u32,
}

impl Node {
    /// From the record of what was applied, and from the hosts file, which an earlier boot may have left.
    ///
    /// # Errors
    /// The machine is not configured, or the image is wrong.
    pub fn read(args: &Args) -> Result<Self, Error> {
        let image = Image::read(&args.root)?;
        let record = Record::read(&args.root)?.filter(Record::is_complete).ok_or(Error::NotConfigured)?;
        let hostname = record.values.iter().find(|value| value.key == "hostname");
        let card = record.card().ok_or(Error::NotConfigured)?;
        let text = fs::read_to_string(args.root.join(HOSTS_FILE)).unwrap_or_default();
        let mut known = hosts_known(&text, &image.cluster);
        known.remove(&record.node);
        Ok(Self {
            root: args.root.clone(),
            machine: Machine::new(args),
            hostname: hostname.map_or(&record.node, |hostname| &hostname.value).clone(),
            name: record.node,
            image,
            card,
            known,
            passes: 0,
        })
    }

    /// The address of the cluster's card.
    ///
    /// # Errors
    /// It cannot be read, or its network is the pods' or the Services'.
    pub fn own(&self, system: &mut dyn System) -> Result<Option<Ipv4Net>, Error> {
        let cards = self.machine.cards().map_err(Error::Machine)?;
        let Some(card) = cards.iter().find(|card| card.mac == self.card) else { return Ok(None) };
        let own = system.address(&card.name).map_err(Error::Machine)?;
        own.map(|own| check_network(&self.image.cluster, own, "DHCP").map(|()| own))
            .transpose()
            .map_err(Error::Facts)
    }

    /// Looks for everybody and makes the files and routes say what was found. Tells whether nobody is missing.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn pass(
        &mut self,
        own: Ipv4Net,
        ops: &mut dyn Ops,
        system: &mut dyn System,
        console: &mut Console<'_>,
    ) -> Result<bool, Error> {
        let found = self.look(own, system);
        let mut complete = true;
        for node in self.image.cluster.nodes.iter().filter(|node| node.name != self.name) {
            let Some((address, how)) = found.get(&*node.name) else {
                complete = false;
                continue;
            };
            if self.known.insert(node.name.clone(), *address) != Some(*address) {
                console.say(&format!("{}: {} is at {address} ({how})", self.name, node.name));
            }
        }
        self.passes += 1;
        self.write(own, ops, system, console)?;
        self.route(own, system, console);
        Ok(complete)
    }

    /// The addresses that were found now, each with how.
    fn look(&self, own: Ipv4Net, system: &mut dyn System) -> BTreeMap<String, (Ipv4Addr, &'static str)> {
        let mut found: BTreeMap<String, (Ipv4Addr, &'static str)> = BTreeMap::new();
        let cluster = &self.image.cluster;
        let others = || cluster.nodes.iter().filter(|node| node.name != self.name);
        let fits = |address: &Ipv4Addr| own.contains(address) && *address != own.addr();
        let socket = self.root.join(resolved::SOCKET);
        for node in others() {
            // Without resolved there are still the others ways.
            let heard =
                resolved::find(&socket, &instance(&cluster.name, &node.name), QUERY).unwrap_or_default();
            if let Some(address) = heard.into_iter().find(fits) {
                found.insert(node.name.clone(), (address, "multicast DNS"));
            }
        }
        let list = self.root.join(LIST_NODES);
        let missing = others().any(|node| !found.contains_key(&node.name));
        if missing && self.passes.is_multiple_of(EVERY) && list.exists() {
            // The API server may not be there yet, or may be what is missing.
            let nodes = system.run(&list.to_string_lossy(), &[]).unwrap_or_default();
            for line in nodes.lines() {
                let Some((name, address)) = line.split_once(' ') else { continue };
                let address = address.trim().parse().ok().filter(fits);
                if let (Some(node), Some(address)) = (others().find(|node| node.name == name), address) {
                    found.entry(node.name.clone()).or_insert((address, "Node object"));
                }
            }
        }
        found
    }

    /// The hosts file, and the own address for units, which are restarted when it has changed.
    fn write(
        &self,
        own: Ipv4Net,
        ops: &mut dyn Ops,
        system: &mut dyn System,
        console: &mut Console<'_>,
    ) -> Result<(), Error> {
        let address =
            |name: &str| if name == self.name { Some(own.addr()) } else { self.known.get(name).copied() };
        let text = hosts(&self.image.cluster, &self.name, &self.hostname, address);
        let variables = format!("{HEADER}KILN_NODE_IP={}\n", own.addr());
        let before = fs::read_to_string(self.root.join(ADDRESS_FILE)).ok();
        let mut actions = public(HOSTS_FILE, text.into_bytes(), self.image.owner);
        actions.extend(public(ADDRESS_FILE, variables.clone().into_bytes(), self.image.owner));
        let change = Change { actions: actions.iter().collect(), ..Change::default() };
        apply(&self.root, &change, ops).map_err(Error::Apply)?;
        if before.as_ref() == Some(&variables) {
            return Ok(());
        }
        console.say(&format!("{}: this node is at {own}", self.name));
        if before.is_some() {
            let restart = ["--no-block", "try-restart", ADDRESS_UNIT];
            system.run("systemctl", &restart).map_err(Error::Machine)?;
        }
        Ok(())
    }

    /// The routes that the kernel does not have. One that cannot be set is said, and tried again.
    fn route(&self, own: Ipv4Net, system: &mut dyn System, console: &mut Console<'_>) {
        let there = self.machine.routes().unwrap_or_default();
        for node in self.image.cluster.nodes.iter() {
            let via = self.known.get(&node.name).filter(|via| own.contains(*via));
            let Some((pods, via)) = node.pod_cidr.zip(via) else { continue };
            if there.contains(&(pods, *via)) {
                continue;
            }
            let (to, via) = (pods.to_string(), via.to_string());
            if let Err(error) = system.run("ip", &["route", "replace", &to, "via", &via, "proto", "static"]) {
                console.say(&format!("{}: the route to the pods of {}: {error}", self.name, node.name));
            }
        }
    }
}
