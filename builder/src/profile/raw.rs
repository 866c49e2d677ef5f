//! The profile as it is written, with the places of the values that checks may complain about.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firstboot::schema::Mac;
use ipnet::Ipv4Net;
use serde::Deserialize;
use toml::Spanned;

use crate::profile::api;
use crate::profile::model::Options;
use crate::profile::size::MiB;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) cluster: Cluster,
    pub(super) network: Network,
    pub(super) node: Vec<Spanned<Node>>,
    #[serde(default)]
    pub(super) options: Options,
    #[serde(default)]
    pub(super) settings: BTreeMap<String, BTreeMap<String, Spanned<serde_json::Value>>>,
    #[serde(default)]
    pub(super) pki: Pki,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Pki {
    pub(super) authority_years: Option<Spanned<u32>>,
    pub(super) certificate_years: Option<Spanned<u32>>,
    pub(super) generation: BTreeMap<String, Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Cluster {
    pub(super) name: Spanned<String>,
    #[serde(default = "domain")]
    pub(super) domain: Spanned<String>,
    #[serde(default = "cluster_domain")]
    pub(super) cluster_domain: Spanned<String>,
    pub(super) pod_cidr: Spanned<Ipv4Net>,
    pub(super) service_cidr: Spanned<Ipv4Net>,
    pub(super) release: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) api: api::Raw,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Network {
    pub(super) mode: Spanned<Mode>,
    pub(super) cidr: Option<Spanned<Ipv4Net>>,
    pub(super) gateway: Option<Spanned<Ipv4Addr>>,
    pub(super) dns: Option<Spanned<Vec<Ipv4Addr>>>,
    #[serde(default)]
    pub(super) ntp: Vec<Spanned<String>>,
}

/// How the nodes get their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// As the profile says.
    Static,
    /// From a DHCP server.
    Dhcp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Node {
    pub(super) name: Spanned<String>,
    pub(super) role: Spanned<String>,
    pub(super) ip: Option<Spanned<Ipv4Addr>>,
    pub(super) pod_cidr: Option<Spanned<Ipv4Net>>,
    pub(super) mac: Option<Spanned<Mac>>,
    pub(super) cpus: Option<Spanned<u32>>,
    pub(super) memory: Option<Spanned<MiB>>,
    pub(super) disk: Option<MiB>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) taints: Vec<Spanned<String>>,
}

fn domain() -> Spanned<String> {
    Spanned::new(0..0, "kubernetes.local".to_owned())
}

fn cluster_domain() -> Spanned<String> {
    Spanned::new(0..0, "cluster.local".to_owned())
}
