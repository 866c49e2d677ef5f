//! `[cluster.api]`: where the API server is reached and under which names, checked.

use std::net::IpAddr;

use serde::Deserialize;
use toml::Spanned;

use super::check::Source;
use crate::endpoint::{Api, Endpoint, is_host};
use crate::error::InputError;

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Raw {
    endpoint: Option<Spanned<String>>,
    #[serde(default)]
    names: Vec<Spanned<String>>,
}

/// Where the API server is; without an endpoint, at every control plane.
pub(super) fn resolve(source: &Source<'_>, raw: Raw, domain: &str) -> Result<Api, InputError> {
    let mut names = Vec::new();
    let endpoint = match raw.endpoint {
        None => Endpoint::every_control_plane(domain),
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
    Ok(Api { endpoint, names })
}
