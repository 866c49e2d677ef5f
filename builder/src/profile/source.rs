//! The file that complaints about a profile point into.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;

use ipnet::Ipv4Net;
use toml::Spanned;

use crate::ground::error::InputError;
use crate::ground::input;

/// The file that complaints point into.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn line(&self, span: Range<usize>) -> usize {
        input::line(self.text, span.start)
    }

    pub(super) fn refuse<T>(&self, span: Range<usize>, message: String, hint: &str) -> Result<T, InputError> {
        Err(input::wrong(self.path, self.text, Some(span), message, Some(hint.to_owned())))
    }
}

pub(super) fn inside(
    source: &Source<'_>,
    key: &str,
    ip: &Spanned<Ipv4Addr>,
    cidr: Ipv4Net,
) -> Result<(), InputError> {
    let address = *ip.get_ref();
    if cidr.contains(&address) && address != cidr.network() && address != cidr.broadcast() {
        return Ok(());
    }
    let message = format!("`{key}` {address} is not a host address of `network.cidr` {cidr}");
    source.refuse(ip.span(), message, "choose an address inside the network")
}
