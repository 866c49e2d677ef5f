//! Which certificates a cluster has, with subject, names and usage of each (design section 12): data, no cryptography.

use std::net::Ipv4Addr;

use firstboot::schema::{Cluster, Node};

use super::PkiOptions;
use crate::endpoint::Endpoint;

/// The user that the API server is for kubelets: the common name of its client certificate. It has no rights by itself;
/// the binding `system:kube-apiserver` gives this user the role `system:kube-apiserver-to-kubelet`.
pub const KUBELET_CLIENT_USER: &str = "kube-apiserver-kubelet-client";

/// A certificate authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ca {
    /// Signs for the API server's own clients and servers, kubelets included.
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
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes-ca",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
        }
    }
}

/// What a certificate may be used for: its extended key usage (RFC 5280, 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// To serve TLS.
    Server,
    /// To show who a client is.
    Client,
    /// Both.
    Both,
}

/// A certificate before it is issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) label: String,
    pub(super) ca: Ca,
    /// Common name: the user.
    pub(super) name: String,
    /// Organization: the user's group.
    pub(super) group: Option<&'static str>,
    pub(super) usage: Usage,
    /// Subject alternative names, DNS names and addresses in this order.
    pub(super) sans: Vec<String>,
}

/// All certificates of the cluster but those of the authorities.
pub(super) fn of(cluster: &Cluster, options: &PkiOptions) -> Vec<Certificate> {
    let client = |label: &str, ca, name: &str, group| Certificate {
        label: label.to_owned(),
        ca,
        name: name.to_owned(),
        group,
        usage: Usage::Client,
        sans: Vec::new(),
    };
    let mut all = vec![
        client("admin", Ca::Kubernetes, "admin", Some("system:masters")),
        Certificate {
            usage: Usage::Server,
            sans: api_server_names(cluster, &options.api_server_names),
            ..client("kube-api-server", Ca::Kubernetes, "kubernetes", None)
        },
        client("kube-apiserver-kubelet-client", Ca::Kubernetes, KUBELET_CLIENT_USER, None),
        client("kube-apiserver-etcd-client", Ca::Etcd, "kube-apiserver-etcd-client", None),
        client("front-proxy-client", Ca::FrontProxy, "front-proxy-client", None),
        client(
            "kube-controller-manager",
            Ca::Kubernetes,
            "system:kube-controller-manager",
            Some("system:kube-controller-manager"),
        ),
        client("kube-scheduler", Ca::Kubernetes, "system:kube-scheduler", Some("system:kube-scheduler")),
        client("kube-proxy", Ca::Kubernetes, "system:kube-proxy", Some("system:node-proxier")),
        client("service-accounts", Ca::Kubernetes, "service-accounts", None),
    ];
    for node in &cluster.nodes {
        let name = &node.name;
        all.push(Certificate {
            usage: Usage::Both,
            sans: node_names(cluster, node),
            ..client(
                &format!("node/{name}"),
                Ca::Kubernetes,
                &format!("system:node:{name}"),
                Some("system:nodes"),
            )
        });
        if node.control_plane {
            // A member is a client too: of its peers, and of itself behind etcd's gateway.
            let member = |label: &str| Certificate {
                usage: Usage::Both,
                sans: distinct(
                    [node_names(cluster, node), vec!["localhost".into(), "127.0.0.1".into()]].concat(),
                ),
                ..client(&format!("{label}/{name}"), Ca::Etcd, name, None)
            };
            all.extend([member("etcd-server"), member("etcd-peer")]);
        }
    }
    all
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
    names.push(Endpoint::every_control_plane(&cluster.domain).host);
    names.push(Ipv4Addr::LOCALHOST.to_string());
    // Kubernetes gives its own Service the first address of the range.
    names.extend(cluster.service_cidr.hosts().next().map(|address| address.to_string()));
    for node in cluster.nodes.iter().filter(|node| node.control_plane) {
        names.extend(node_names(cluster, node));
    }
    names.extend_from_slice(more);
    distinct(names)
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
