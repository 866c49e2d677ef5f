//! The running system: the addresses of its cards and its programs. It decides nothing.

use std::io;
use std::net::Ipv4Addr;
use std::process::Command;

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use crate::console::shown;
use crate::peers::System;

/// The real one.
#[derive(Debug, Default)]
pub struct Running;

impl System for Running {
    fn address(&mut self, card: &str) -> io::Result<Option<Ipv4Net>> {
        let v4 =
            |address: Option<SockaddrStorage>| -> Option<Ipv4Addr> { Some(address?.as_sockaddr_in()?.ip()) };
        Ok(getifaddrs()?.filter(|found| found.interface_name == card).find_map(|found| {
            let address = v4(found.address).filter(|address| !address.is_link_local())?;
            Ipv4Net::with_netmask(address, v4(found.netmask)?).ok()
        }))
    }

    fn run(&mut self, program: &str, args: &[&str]) -> io::Result<String> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that starts programs, with fixed arguments"
        )]
        let output = Command::new(program).args(args).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        Err(io::Error::other(format!("`{program}` ends with {}: {}", output.status, shown(last))))
    }
}
