//! Who says the addresses: the profile says all of them, or a DHCP server does and the profile none.

use toml::Spanned;

use crate::ground::error::InputError;
use crate::profile::raw::{Mode, Network, Node};
use crate::profile::source::Source;

/// Checks that every address is there, or none is.
pub(super) fn check(
    source: &Source<'_>,
    network: &Network,
    nodes: &[Spanned<Node>],
) -> Result<(), InputError> {
    let in_network = [
        ("network.cidr", network.cidr.as_ref().map(Spanned::span)),
        ("network.gateway", network.gateway.as_ref().map(Spanned::span)),
        ("network.dns", network.dns.as_ref().map(Spanned::span)),
    ];
    let in_nodes = nodes.iter().map(|node| ("ip", node.get_ref().ip.as_ref().map(Spanned::span)));
    match network.mode.get_ref() {
        Mode::Dhcp => {
            for (key, span) in in_network.into_iter().chain(in_nodes) {
                if let Some(span) = span {
                    let message = format!("`{key}` has no meaning where `network.mode` is `dhcp`");
                    return source.refuse(span, message, "remove it: the DHCP server says it");
                }
            }
        }
        Mode::Static => {
            const HINT: &str = "add it, or let a DHCP server say the addresses: `network.mode = \"dhcp\"`";
            if network.cidr.is_none() {
                return source.refuse(network.mode.span(), "`network.cidr` is missing".to_owned(), HINT);
            }
            if let Some(node) = nodes.iter().find(|node| node.get_ref().ip.is_none()) {
                let message = format!("`ip` of `{}` is missing", node.get_ref().name.get_ref());
                return source.refuse(node.span(), message, HINT);
            }
        }
    }
    Ok(())
}
