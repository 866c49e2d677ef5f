//! A network for tests: what the card has, whom multicast DNS knows, and the programs that were started.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;

use firstboot::console::Console;
use firstboot::error::Error;
use firstboot::ops::{Ops, Real};
use firstboot::peers::{Node, System, peers};
use firstboot::resolved::SOCKET;
use fs_err as fs;
use ipnet::Ipv4Net;

use super::{Said, World};

/// The running system.
#[derive(Default)]
pub struct Fake {
    /// The card's address.
    pub own: Option<Ipv4Net>,
    /// What the API server's list is; without it, it does not answer.
    pub nodes: Option<&'static str>,
    /// The programs that were started, with their arguments.
    pub ran: Vec<String>,
}

impl System for Fake {
    fn address(&mut self, card: &str) -> io::Result<Option<Ipv4Net>> {
        assert_eq!(card, "ens3");
        Ok(self.own)
    }

    fn run(&mut self, program: &str, args: &[&str]) -> io::Result<String> {
        let name = program.rsplit('/').next().unwrap();
        self.ran.push([&[name], args].concat().join(" "));
        match name {
            "list-nodes" => self.nodes.map(str::to_owned).ok_or_else(|| io::Error::other("no answer")),
            _ => Ok(String::new()),
        }
    }
}

/// Whom multicast DNS knows: services and their addresses.
pub type Neighbours = Arc<Mutex<BTreeMap<&'static str, Ipv4Addr>>>;

impl World {
    /// A worker of a cluster whose addresses DHCP gives, with its card and its identity.
    pub fn dhcp(mac: &str) -> Self {
        let world = Self::with_card("ens3", mac);
        let path = world.root().join("usr/lib/kiln/cluster.json");
        let mut table: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        table["network"] = serde_json::json!({ "gateway": null, "dns": [] });
        for node in table["nodes"].as_array_mut().unwrap() {
            node.as_object_mut().unwrap().remove("ip");
        }
        fs::write(path, table.to_string()).unwrap();
        world
    }

    /// Starts systemd-resolved.
    pub fn resolved(&self) -> Neighbours {
        let neighbours = Neighbours::default();
        let known = neighbours.clone();
        let socket = self.root().join(SOCKET);
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = Vec::new();
                BufReader::new(stream.try_clone().unwrap()).read_until(0, &mut asked).unwrap();
                let asked: serde_json::Value = serde_json::from_slice(&asked[..asked.len() - 1]).unwrap();
                let name = asked["parameters"]["name"].as_str().unwrap();
                let answer = match known.lock().unwrap().get(name) {
                    Some(address) => serde_json::json!({ "parameters": { "services": [
                        { "addresses": [{ "ifindex": 2, "family": 2, "address": address.octets() }] }
                    ] } }),
                    None => serde_json::json!({ "error": "io.systemd.Resolve.NoSuchResourceRecord" }),
                };
                stream.write_all(format!("{answer}\0").as_bytes()).unwrap();
            }
        });
        neighbours
    }

    /// One pass of `firstboot peers`.
    pub fn peers(&self, system: &mut Fake) -> Said {
        self.peers_with(system, &mut Real)
    }

    /// As [`World::peers`], with these operations.
    pub fn peers_with(&self, system: &mut Fake, ops: &mut dyn Ops) -> Said {
        let mut console = Vec::new();
        let mut lines = Console::new(&mut console);
        let mut pass = || -> Result<(), Error> {
            let mut node = Node::read(&self.args())?;
            match node.own(system)? {
                Some(own) => node.pass(own, ops, system, &mut lines).map(|_| ()),
                None => peers(&self.args(), true, ops, system, &mut lines),
            }
        };
        let result = pass();
        if let Err(error) = &result {
            lines.say(&error.to_string());
        }
        let console = String::from_utf8(console).unwrap();
        Said { console, stdout: String::new(), failed: result.is_err() }
    }
}
