//! `[cluster.api]`: where the API server is reached and under which names, checked.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::Deserialize;
use toml::Spanned;

use crate::ground::error::InputError;
use crate::profile::endpoint::{Api, Endpoint, PORT, is_host};
use crate::profile::source::{Source, inside};

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Raw {
    endpoint: Option<Spanned<String>>,
    pub(super) virtual_address: Option<Spanned<Ipv4Addr>>,
    #[serde(default)]
    names: Vec<Spanned<String>>,
}

/// Where the API server is; without an endpoint, at every control plane. `cidr` is the nodes' network, if the profile says it.
pub(super) fn resolve(
    source: &Source<'_>,
    raw: Raw,
    domain: &str,
    cidr: Option<Ipv4Net>,
) -> Result<Api, InputError> {
    let mut names = Vec::new();
    if let (Some(address), Some(cidr)) = (&raw.virtual_address, cidr) {
        inside(source, "cluster.api.virtual-address", address, cidr)?;
    }
    let virtual_address = raw.virtual_address.map(Spanned::into_inner);
    names.extend(virtual_address.map(|address| address.to_string()));
    let has_endpoint = raw.endpoint.is_some();
    let endpoint = match raw.endpoint {
        None => Endpoint::in_domain(domain),
        Some(text) => {
            let Ok(endpoint) = text.get_ref().parse::<Endpoint>() else {
                let message =
                    format!("`cluster.api.endpoint` `{}` is no host with or without a port", text.get_ref());
                return source.refuse(
                    text.span(),
                    message,
                    "write it like `k8s.example.org`, `k8s.example.org:443` or `203.0.113.7:6443`",
                );
            };
            names.push(endpoint.host.clone());
            endpoint
        }
    };
    for name in raw.names {
        if !is_host(name.get_ref()) && name.get_ref().parse::<IpAddr>().is_err() {
            let message =
                format!("`cluster.api.names`: `{}` is neither a DNS name nor an address", name.get_ref());
            return source.refuse(
                name.span(),
                message,
                "a name is of lower-case letters, digits and hyphens between dots",
            );
        }
        names.push(name.into_inner());
    }
    let outside = match virtual_address {
        Some(address) if !has_endpoint => Endpoint { host: address.to_string(), port: PORT },
        _ => endpoint.clone(),
    };
    Ok(Api { endpoint, outside, virtual_address, names })
}
