//! Templates of a recipe: files whose name ends in `.j2` are minijinja templates of the cluster's values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use firstboot::schema::{Cluster, Duty};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use crate::ground::error::InputError;
use crate::lockfile::format::Release;
use crate::profile::{Machine, Options, Profile, Settings, is_same_taint};
use crate::role::stack::Role;
use crate::role::{Addon, settings};

/// Every duty.
const DUTIES: [Duty; 5] = [Duty::Kubelet, Duty::Etcd, Duty::ApiServer, Duty::Controllers, Duty::LoadBalancer];

/// The values that templates see. Names are those of the profile with `_` for `-`.
#[derive(Debug, Clone, Serialize)]
pub struct Context {
    cluster: ClusterValues,
    api: ApiValues,
    network: NetworkValues,
    nodes: Vec<NodeValues>,
    /// The nodes that have a duty, by the duty.
    members: BTreeMap<Duty, Vec<NodeValues>>,
    release: ReleaseValues,
    /// Names of what runs in the cluster besides.
    addons: Vec<String>,
    options: Options,
    /// What the role's nodes do for the cluster.
    duties: BTreeSet<Duty>,
    /// Where the role's nodes find etcd: at the member beside them, else at every member.
    etcd_endpoints: Vec<String>,
    /// Of the programs in the role's images.
    settings: Settings,
    /// Of the role's recipes.
    values: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize)]
struct ClusterValues {
    name: String,
    domain: String,
    cluster_domain: String,
    pod_cidr: String,
    service_cidr: String,
    /// The first Service address: the API server's own.
    kubernetes_service_ip: String,
}

#[derive(Debug, Clone, Serialize)]
struct ApiValues {
    virtual_address: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Serialize)]
struct NetworkValues {
    mode: &'static str,
    cidr: Option<String>,
    gateway: Option<String>,
    dns: Vec<String>,
    ntp: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct NodeValues {
    name: String,
    fqdn: String,
    role: String,
    duties: BTreeSet<Duty>,
    ip: Option<String>,
    mac: String,
    pod_cidr: Option<String>,
    labels: BTreeMap<String, String>,
    taints: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct ReleaseValues {
    name: String,
    kubernetes: String,
    containerd: String,
    images: BTreeMap<String, String>,
}

impl Context {
    /// The values of a profile with a release, the roles of its nodes, and what runs in the cluster besides.
    #[must_use]
    pub fn new(
        profile: &Profile,
        cluster: &Cluster,
        release: &Release,
        roles: &[Role],
        addons: &[Addon],
    ) -> Self {
        let values = |node: &firstboot::schema::Node| {
            node_values(cluster, node, profile.machines.get(&node.name), Role::of(roles, node))
        };
        let nodes: Vec<_> = cluster.nodes.iter().map(values).collect();
        let members = DUTIES.map(|duty| {
            let own = nodes.iter().filter(|node: &&NodeValues| node.duties.contains(&duty));
            (duty, own.cloned().collect())
        });
        Self {
            cluster: ClusterValues {
                name: cluster.name.clone(),
                domain: cluster.domain.clone(),
                cluster_domain: cluster.cluster_domain.clone(),
                pod_cidr: cluster.pod_cidr.to_string(),
                service_cidr: cluster.service_cidr.to_string(),
                kubernetes_service_ip: first_host(cluster.service_cidr),
            },
            api: ApiValues { virtual_address: profile.api.virtual_address },
            network: NetworkValues {
                mode: if cluster.network.cidr.is_some() { "static" } else { "dhcp" },
                cidr: cluster.network.cidr.map(|cidr| cidr.to_string()),
                gateway: cluster.network.gateway.map(|gateway| gateway.to_string()),
                dns: cluster.network.dns.iter().map(ToString::to_string).collect(),
                ntp: profile.ntp.clone(),
            },
            members: members.into(),
            nodes,
            release: ReleaseValues {
                name: cluster.release.clone(),
                kubernetes: release.kubernetes.clone(),
                containerd: release.containerd.clone(),
                images: release
                    .image
                    .iter()
                    .filter(|(name, _)| roles.iter().any(|role| role.has_image(name)))
                    .map(|(name, image)| (name.clone(), image.reference.clone()))
                    .collect(),
            },
            addons: addons.iter().map(|addon| addon.name.clone()).collect(),
            options: profile.options.clone(),
            duties: BTreeSet::new(),
            etcd_endpoints: Vec::new(),
            settings: Settings::new(),
            values: BTreeMap::new(),
        }
    }

    /// The same values for one role, with its recipes' own.
    #[must_use]
    pub fn of(&self, role: &Role) -> Self {
        let mut values = self.clone();
        values.duties = role.duties();
        values.settings = role.settings.clone();
        values.values = role.values();
        values.etcd_endpoints = values.etcd_endpoints();
        values
    }

    fn etcd_endpoints(&self) -> Vec<String> {
        if self.duties.contains(&Duty::Etcd) {
            return vec!["https://127.0.0.1:2379".to_owned()];
        }
        let members = self.members.get(&Duty::Etcd).into_iter().flatten();
        members.map(|member| format!("https://{}:2379", member.fqdn)).collect()
    }

    /// Renders the template at `path`; `text` is its content.
    ///
    /// # Errors
    /// [`InputError::Wrong`] with the template's line; a name that is not defined is one.
    pub fn render(&self, path: &Path, text: &str) -> Result<String, InputError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // A line that holds only a block leaves no line behind.
        let mut syntax = SyntaxConfig::builder();
        syntax.keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().unwrap_or_default());
        environment.add_function("option", |name: &str, value: Value| {
            serde_json::to_value(&value).map(|value| settings::option(name, &value)).unwrap_or_default()
        });
        environment.add_function("refuse", |reason: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, reason))
        });
        environment.add_function("at_least", |version: &str, least: &str| at_least(version, least));
        environment.render_str(text, Value::from(Serde(self))).map_err(|error| InputError::Wrong {
            path: path.to_owned(),
            line: error.line().unwrap_or(1),
            message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            hint: Some("the templates' values are listed in docs/reference/recipes.md".to_owned()),
        })
    }
}

fn node_values(
    cluster: &Cluster,
    node: &firstboot::schema::Node,
    machine: Option<&Machine>,
    role: Option<&Role>,
) -> NodeValues {
    let mut labels = role.map(Role::labels).unwrap_or_default();
    let mut taints = role.map(Role::taints).unwrap_or_default();
    if let Some(machine) = machine {
        labels.extend(machine.labels.clone());
        // Of the same ones the profile's count.
        taints.retain(|taint| !machine.taints.iter().any(|own| is_same_taint(own, taint)));
        taints.extend_from_slice(&machine.taints);
    }
    NodeValues {
        name: node.name.clone(),
        fqdn: format!("{}.{}", node.name, cluster.domain),
        role: node.role.clone(),
        duties: node.duties.clone(),
        ip: node.ip.map(|ip| ip.to_string()),
        mac: node.mac.to_string(),
        pod_cidr: node.pod_cidr.map(|range| range.to_string()),
        labels,
        taints,
    }
}

fn first_host(range: ipnet::Ipv4Net) -> String {
    range.hosts().next().unwrap_or(range.addr()).to_string()
}

/// Whether a version of dotted numbers is at least another one.
#[must_use]
pub fn at_least(version: &str, least: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>();
    numbers(version) >= numbers(least)
}

#[cfg(test)]
mod tests {
    use super::at_least;

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least("1.20.2", "1.20") && at_least("1.20", "1.20") && at_least("1.100.0", "1.20.9"));
        assert!(!at_least("1.9.0", "1.20") && !at_least("1.20.2", "1.20.3"));
    }
}
