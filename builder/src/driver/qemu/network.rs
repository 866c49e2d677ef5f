//! The machines' network: a switch that learns who is where (vde_switch, "vde_switch(1)"), and a gateway, which is a
//! QEMU without a machine that owns the host's side: the gateway's address and the forwarded ports of 127.0.0.1.
//!
//! It has to be a switch. QEMU's own hub shows every frame to its user network too, which answers what is not meant
//! for it: a machine that opens a connection to another one was refused by the gateway.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::machines::Launch;
use crate::driver::qemu::machine::Board;
use crate::driver::qemu::places::{GATEWAY, Places, RUN_INSIDE, SWITCH, places};
use crate::driver::qemu::process::{Control, Process};
use crate::driver::qemu::{ports, vde};
use crate::driver::state::{Forwards, NetworkState, State};
use crate::ground::durable::private_folder;
use crate::results::cluster::ClusterJson;
use crate::sandbox::Sandbox;

/// Ethernet frames that reached the gateway, as Wireshark reads them.
pub(super) const CAPTURE: &str = "gateway.pcap";

/// Runs a program on a standard input that never ends: the switch ends with its own.
const STAYING: [&str; 4] = ["sh", "-c", r#"mkfifo /tmp/input && exec "$@" 0<>/tmp/input"#, "sh"];

/// Starts what does not run yet. The chosen ports stand in the state afterwards.
pub(super) fn ensure(launch: &Launch<'_>, root: &Path, state: &mut State) -> Result<(), DriverError> {
    let Launch { request, cluster, folders, .. } = *launch;
    let network = Network { cluster, folders, root, capture: request.capture };
    network.switch(state)?;
    network.gateway(state)
}

/// Ends both; `known` is what the state says of them.
pub(super) fn end(folders: &Folders, known: Option<&NetworkState>) -> Result<(), DriverError> {
    folders.gateway().end(known.and_then(|network| network.gateway))?;
    folders.switch().end(known.and_then(|network| network.switch))?;
    let sockets = folders.switch().folder.join(vde::SOCKETS);
    if sockets.exists() {
        fs::remove_dir_all(sockets)?;
    }
    Ok(())
}

struct Network<'a> {
    cluster: &'a ClusterJson,
    folders: &'a Folders,
    root: &'a Path,
    capture: bool,
}

impl Network<'_> {
    fn switch(&self, state: &mut State) -> Result<(), DriverError> {
        let process = self.folders.switch();
        if process.is_running()? {
            return Ok(());
        }
        // The machines do not find their way to another one.
        self.refuse_while_machines_run(state)?;
        end(self.folders, state.network.as_ref())?;
        private_folder(&process.folder)?;
        fs::write(process.folder.join("settings"), vde::SETTINGS)?;
        state.network = Some(NetworkState::default());
        state.save(&self.folders.run)?;
        let mut argv = STAYING.map(str::to_owned).to_vec();
        let folder = format!("{}/{SWITCH}", RUN_INSIDE);
        argv.extend(vde::switch(&folder));
        argv.extend(vde::controlled(&folder));
        let pid = process.start(&self.folders.sandbox(self.root), &argv)?;
        state.network = Some(NetworkState { switch: Some(pid), ..NetworkState::default() });
        state.save(&self.folders.run)?;
        process.wait_for_start()
    }

    /// Starts the gateway. Another program can take a chosen port before QEMU does: then others are chosen.
    fn gateway(&self, state: &mut State) -> Result<(), DriverError> {
        const TRIES: u32 = 5;
        for _ in 1..TRIES {
            match self.try_gateway(state) {
                Err(DriverError::Start { log, .. }) if log.contains("host forwarding rule") => (),
                outcome => return outcome,
            }
        }
        self.try_gateway(state)
    }

    fn try_gateway(&self, state: &mut State) -> Result<(), DriverError> {
        let process = self.folders.gateway();
        let running = process.is_running()?;
        let ours = |port| running && state.ports.values().any(|ports| ports.values().any(|p| *p == port));
        let chosen = ports::choose(self.cluster, &state.ports, |port| ours(port) || ports::is_free(port))?;
        let argv = |capture| gateway(self.cluster, &chosen, &places(), capture);
        let known = state.network.clone().unwrap_or_default();
        if running {
            // One that captures does all that one that does not would do.
            if known.argv == argv(true) || (!self.capture && known.argv == argv(false)) {
                return Ok(());
            }
            self.refuse_while_machines_run(state)?;
            process.end(known.gateway)?;
        }
        private_folder(&process.folder)?;
        let argv = argv(self.capture);
        state.ports = chosen;
        let mut network = NetworkState { argv: argv.clone(), gateway: None, ..known };
        state.network = Some(network.clone());
        state.save(&self.folders.run)?;
        // The host's network for the forwarded ports; QEMU itself lets nothing out.
        let sandbox: Sandbox = self.folders.sandbox(self.root).share_network();
        network.gateway = Some(process.start_qemu(&sandbox, argv, GATEWAY)?);
        state.network = Some(network);
        state.save(&self.folders.run)?;
        process.wait_for_start()
    }

    fn refuse_while_machines_run(&self, state: &State) -> Result<(), DriverError> {
        for name in state.nodes.keys() {
            if self.folders.process(name).is_running()? {
                let (results, cluster) = (self.folders.arguments(), self.cluster.name.clone());
                return Err(DriverError::NetworkChanged { results, cluster });
            }
        }
        Ok(())
    }
}

/// The gateway's command line: QEMU's user network behind a port of the switch. `restrict=on`: nothing leaves.
pub(super) fn gateway(
    cluster: &ClusterJson,
    ports: &BTreeMap<String, Forwards>,
    places: &Places,
    capture: bool,
) -> Vec<String> {
    let mut user = "user,id=host,ipv6=off,restrict=on".to_owned();
    match cluster.network.cidr {
        Some(cidr) => user += &format!(",net={}", cidr.trunc()),
        // Its DHCP gives the next address to the next card that asks, as long as it runs.
        None => user += &format!(",dhcpstart={}", ports::FIRST_LEASE),
    }
    if let Some(gateway) = cluster.network.gateway {
        user += &format!(",host={gateway}");
    }
    for (name, ip, _) in ports::places(cluster) {
        for (guest, host) in ports.get(&name).into_iter().flatten() {
            user += &format!(",hostfwd=tcp:127.0.0.1:{host}-{ip}:{guest}");
        }
    }
    let switch = format!("vde,id=switch,sock={}", places.switch());
    let program = Board::of(cluster.arch).program;
    let mut argv = vec![program, "-name", "kiln-gateway", "-machine", "none", "-nodefaults"];
    argv.extend(["-netdev", &user, "-netdev", "hubport,id=hub-host,hubid=0,netdev=host"]);
    argv.extend(["-netdev", &switch, "-netdev", "hubport,id=hub-switch,hubid=0,netdev=switch"]);
    let dump = format!("filter-dump,id=capture,netdev=switch,file={}/{GATEWAY}/{CAPTURE}", places.run);
    if capture {
        argv.extend(["-object", &dump]);
    }
    argv.into_iter().map(str::to_owned).collect()
}

impl Folders {
    pub(super) fn switch(&self) -> Process {
        Process { name: "the switch".to_owned(), folder: self.run.join(SWITCH), control: Control::Vde }
    }

    pub(super) fn gateway(&self) -> Process {
        Process { name: "the gateway".to_owned(), folder: self.run.join(GATEWAY), control: Control::Qmp }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::gateway;
    use crate::driver::qemu::places::places;
    use crate::driver::tests::{cluster, lines};

    #[test]
    fn the_gateway_forwards_the_ports_of_all_nodes() {
        let ports = BTreeMap::from([
            ("server".to_owned(), BTreeMap::from([(22, 10022), (6443, 16443)])),
            ("node-0".to_owned(), BTreeMap::from([(22, 10023)])),
        ]);
        insta::assert_snapshot!(lines(&gateway(&cluster(), &ports, &places(), true)));
    }

    #[test]
    fn where_dhcp_gives_the_addresses_the_gateway_gives_them() {
        let mut cluster = cluster();
        (cluster.network.cidr, cluster.network.gateway) = (None, None);
        cluster.nodes.iter_mut().for_each(|node| node.ip = None);
        let ports = BTreeMap::from([("10.0.2.16".to_owned(), BTreeMap::from([(22, 10022)]))]);
        let argv = gateway(&cluster, &ports, &places(), false);
        let user = argv.iter().find(|word| word.starts_with("user,")).unwrap();
        insta::assert_snapshot!(user, @"user,id=host,ipv6=off,restrict=on,dhcpstart=10.0.2.15,hostfwd=tcp:127.0.0.1:10022-10.0.2.16:22");
    }
}
