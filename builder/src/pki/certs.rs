//! Which certificates a cluster has: the few words in which recipes ask for them, and what these mean for its nodes
//! (design section 12). Data, no cryptography.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firstboot::schema::{Cluster, Duty, Node};
use serde::{Deserialize, Serialize};

use crate::pki::error::PkiError;
use crate::profile::endpoint::Endpoint;

/// The administrator's certificate, which every cluster has; no recipe asks for it.
pub const ADMIN: &str = "admin";

/// Stands for the node's name in labels and users.
const NODE: &str = "{node}";

/// A certificate authority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ca {
    /// Signs for the API server's own clients and servers, kubelets included.
    #[default]
    Kubernetes,
    /// Signs for etcd's members and clients.
    Etcd,
    /// Signs for the aggregation layer.
    FrontProxy,
}

impl Ca {
    /// Every authority.
    pub(super) const ALL: [Self; 3] = [Self::Kubernetes, Self::Etcd, Self::FrontProxy];

    /// Its label, which is its common name too.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes-ca",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }
}

/// What a certificate may be used for: its extended key usage (RFC 5280, 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// To serve TLS.
    Server,
    /// To show who a client is.
    Client,
    /// Both.
    Both,
}

/// Names and addresses that a certificate holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// Those of the node: its name, that with the domain, its planned address.
    Node,
    /// This machine's own: `localhost` and 127.0.0.1.
    Loopback,
    /// Those of the API server, from inside and outside of the cluster.
    Api,
}

/// A certificate that the nodes of a recipe have. Those of equal labels are one, with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// What it is called, and what its key is derived from. `{node}`, here and in the user, stands for the node's name.
    pub label: String,
    /// Who signs it.
    #[serde(default)]
    pub ca: Ca,
    /// Common name: the user.
    pub user: String,
    /// Organization: the user's group.
    pub group: Option<String>,
    /// What it is for.
    pub usage: Usage,
    /// The names and addresses that it holds for.
    #[serde(default)]
    pub names: Vec<Names>,
    /// Where it lies, without `.crt`, and its key, without `.key`; nowhere when only a kubeconfig has it.
    pub files: Option<String>,
}

/// An authority that the nodes of a recipe believe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Which one.
    pub ca: Ca,
    /// Where its certificate lies.
    pub certificate: String,
    /// Where its key lies, for who signs with it.
    pub key: Option<String>,
}

/// A kubeconfig that the nodes of a recipe have. It leads to the API server of the node itself where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubeconfig {
    /// Label of the certificate in it: one that the role asks for, or `admin`.
    pub certificate: String,
    /// Where it lies.
    pub file: String,
}

/// Another secret that the nodes of a recipe have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Which one.
    pub name: SecretName,
    /// Where it lies.
    pub file: String,
}

/// A secret of a cluster that is no certificate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretName {
    /// The API server's encryption configuration.
    EncryptionConfig,
    /// The key that opens every node by SSH, as `ssh` reads it.
    SshKey,
}

/// A certificate of a cluster before it is issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) label: String,
    pub(super) ca: Ca,
    /// Common name: the user.
    pub(super) name: String,
    /// Organization: the user's group.
    pub(super) group: Option<String>,
    pub(super) usage: Usage,
    /// Subject alternative names, DNS names and addresses in this order.
    pub(super) sans: Vec<String>,
}

/// A text of a recipe for one of its nodes.
#[must_use]
pub fn for_node(text: &str, node: &Node) -> String {
    text.replace(NODE, &node.name)
}

/// All certificates of the cluster but those of the authorities: the administrator's, and what is `asked` for by the recipes of
/// its nodes. `api_names` are further ones of the API server.
pub(super) fn of<'a>(
    cluster: &Cluster,
    asked: impl IntoIterator<Item = (&'a Node, &'a Certificate)>,
    api_names: &[String],
) -> Result<Vec<Leaf>, PkiError> {
    let admin = Leaf {
        label: ADMIN.to_owned(),
        ca: Ca::Kubernetes,
        name: "admin".to_owned(),
        group: Some("system:masters".to_owned()),
        usage: Usage::Client,
        sans: Vec::new(),
    };
    let mut all = BTreeMap::from([(admin.label.clone(), admin)]);
    for (node, certificate) in asked {
        let names = certificate.names.iter().flat_map(|names| match names {
            Names::Node => node_names(cluster, node),
            Names::Loopback => vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()],
            Names::Api => api_server_names(cluster, api_names),
        });
        let leaf = Leaf {
            label: for_node(&certificate.label, node),
            ca: certificate.ca,
            name: for_node(&certificate.user, node),
            group: certificate.group.clone(),
            usage: certificate.usage,
            sans: distinct(names.collect()),
        };
        if let Some(other) = all.insert(leaf.label.clone(), leaf.clone())
            && other != leaf
        {
            return Err(PkiError::Conflict(leaf.label));
        }
    }
    Ok(all.into_values().collect())
}

/// The names under which a node is reached, and its planned address where there is one.
fn node_names(cluster: &Cluster, node: &Node) -> Vec<String> {
    let mut names = vec![node.name.clone(), format!("{}.{}", node.name, cluster.domain)];
    names.extend(node.ip.map(|ip| ip.to_string()));
    names
}

/// The names and addresses under which the API server is reached, from inside and outside of the cluster.
fn api_server_names(cluster: &Cluster, more: &[String]) -> Vec<String> {
    let mut names: Vec<String> = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster",
        "kubernetes.svc.cluster.local",
    ]
    .map(str::to_owned)
    .into();
    names.push(format!("kubernetes.default.svc.{}", cluster.cluster_domain));
    names.push(format!("server.{}", cluster.domain));
    names.push(Endpoint::in_domain(&cluster.domain).host);
    names.push(Ipv4Addr::LOCALHOST.to_string());
    // Kubernetes gives its own Service the first address of the range.
    names.extend(cluster.service_cidr.hosts().next().map(|address| address.to_string()));
    // A client may know a load balancer by its own name.
    for node in cluster.with(Duty::ApiServer).chain(cluster.with(Duty::LoadBalancer)) {
        names.extend(node_names(cluster, node));
    }
    names.extend_from_slice(more);
    names
}

/// The same without repetitions, which happen when a control plane node is called `server`.
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut kept = Vec::with_capacity(names.len());
    for name in names {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}
