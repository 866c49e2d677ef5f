//! Where the API server is: its port, the name that leads to every control plane, and what a profile's `[cluster.api]` says
//! instead. It does not know who asks.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use firstboot::files::API_NAME;
use serde::Serialize;

/// The API server's port on a control plane node.
pub const PORT: u16 = 6443;

/// How the API server is reached, and under which further names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Api {
    /// Where workers go.
    pub endpoint: Endpoint,
    /// Where the administrator's kubeconfig goes.
    pub outside: Endpoint,
    /// The address that some control plane with an API server that is ready holds.
    pub virtual_address: Option<Ipv4Addr>,
    /// Names and addresses for its certificate, besides those of the nodes.
    pub names: Vec<String>,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// A DNS name or an IPv4 address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// The name that each node has in its hosts file: with the addresses of the API servers, or of the load balancers before them.
    #[must_use]
    pub fn in_domain(domain: &str) -> Self {
        Self { host: format!("{API_NAME}.{domain}"), port: PORT }
    }

    /// A control plane's own.
    #[must_use]
    pub fn local() -> Self {
        Self { host: Ipv4Addr::LOCALHOST.to_string(), port: PORT }
    }
}

impl fmt::Display for Endpoint {
    /// As a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}:{}", self.host, self.port)
    }
}

impl FromStr for Endpoint {
    type Err = ();

    /// `HOST` or `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(drop)?),
            None => (text, PORT),
        };
        match is_host(host) && port != 0 {
            true => Ok(Self { host: host.to_owned(), port }),
            false => Err(()),
        }
    }
}

/// Whether a text is a DNS name (RFC 1123) or an IPv4 address.
#[must_use]
pub fn is_host(text: &str) -> bool {
    if text.split('.').next_back().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether a text is a DNS label in lower case.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| inner(*byte) || *byte == b'-')
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn an_endpoint_is_a_host_with_or_without_a_port() {
        let url = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.to_string());
        assert_eq!(url("k8s.example.org").unwrap(), "https://k8s.example.org:6443");
        assert_eq!(url("203.0.113.7:443").unwrap(), "https://203.0.113.7:443");
        for wrong in
            ["", "https://a", "a:", "a:0", "a:65536", "a b", "A", "203.0.113", "203.0.113.256", "a..b", "::1"]
        {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
