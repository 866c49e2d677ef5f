//! What the driver asks a cluster's API server, as its administrator: the nodes and whether they are Ready.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use reqwest::blocking::Client;
use reqwest::{Certificate, Identity};
use serde::{Deserialize, Serialize};

use super::error::DriverError;
use super::state::State;
use crate::report::KUBECONFIG;
use crate::report::cluster::{ClusterJson, NodeJson};

/// The API server's port on a control plane node.
const PORT: u16 = 6443;

/// How long an answer may take; under emulation a TLS handshake alone takes seconds on a busy host.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the API server says of a node: its condition `Ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Whether it is `True`.
    pub ready: bool,
    /// Why it is not, in the kubelet's words.
    pub reason: Option<String>,
}

/// The administrator's way to an API server.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    url: String,
}

impl Api {
    /// By the kubeconfig of the build, at the port of 127.0.0.1 that leads to the first control plane node. None when
    /// no port does.
    pub(super) fn of(
        results: &Path,
        cluster: &ClusterJson,
        state: &State,
    ) -> Result<Option<Self>, DriverError> {
        let Some(url) = url(cluster, state) else { return Ok(None) };
        let path = results.join(KUBECONFIG);
        let text = fs::read_to_string(&path)?;
        let wrong =
            |message: &str| DriverError::Kubeconfig { path: path.clone(), message: message.to_owned() };
        let pem = |key: &str| {
            let value = value(&text, key).ok_or_else(|| wrong(&format!("it has no `{key}`")))?;
            STANDARD.decode(value).map_err(|_| wrong(&format!("`{key}` is not base64")))
        };
        let authority = Certificate::from_pem(&pem("certificate-authority-data")?);
        let mut both = pem("client-certificate-data")?;
        both.extend(pem("client-key-data")?);
        let client = Client::builder()
            .tls_built_in_root_certs(false)
            .add_root_certificate(authority.map_err(|_| wrong("its authority is not a certificate"))?)
            .identity(Identity::from_pem(&both).map_err(|_| wrong("its client certificate does not work"))?)
            // Whatever the environment says, the cluster is on this machine.
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(Some(Self { client, url }))
    }

    /// The nodes that the API server knows; none while it does not answer.
    pub(super) fn nodes(&self) -> Option<BTreeMap<String, Ready>> {
        let answer = self.client.get(format!("{}/api/v1/nodes", self.url)).send().ok()?;
        let list: NodeList = serde_json::from_slice(&answer.error_for_status().ok()?.bytes().ok()?).ok()?;
        Some(list.items.into_iter().map(|node| (node.metadata.name, ready(node.status))).collect())
    }
}

/// The nodes with an API server, in the order of the profile.
pub(super) fn planes(cluster: &ClusterJson) -> impl Iterator<Item = &NodeJson> {
    cluster.nodes.iter().filter(|node| node.ports.contains(&PORT))
}

/// Where the API server is reached from this machine.
pub(super) fn url(cluster: &ClusterJson, state: &State) -> Option<String> {
    let port = cluster.nodes.iter().find_map(|node| state.ports.get(&node.name)?.get(&PORT));
    port.map(|port| format!("https://127.0.0.1:{port}"))
}

/// The text of a kubeconfig that the build wrote, with the API server at another URL.
pub(super) fn at(text: &str, url: &str) -> String {
    let line = |line: &str| match line.split_once("server: ") {
        Some((before, _)) if before.trim().is_empty() => format!("{before}server: {url}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The value of a key in a file that [`crate::pki`] wrote: a key has a line of its own there.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "))
}

/// The fields of a NodeList (core/v1 of the Kubernetes API) that are looked at.
#[derive(Deserialize)]
struct NodeList {
    items: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    message: String,
}

fn ready(status: NodeStatus) -> Ready {
    let found = status.conditions.into_iter().find(|condition| condition.r#type == "Ready");
    match found {
        Some(condition) if condition.status == "True" => Ready { ready: true, reason: None },
        Some(condition) => Ready { ready: false, reason: Some(condition.message) },
        None => Ready { ready: false, reason: Some("its kubelet has not reported yet".to_owned()) },
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeList, at, ready, value};

    #[test]
    fn the_condition_ready_decides() {
        let text = r#"{"items":[
            {"metadata":{"name":"a"},"status":{"conditions":[{"type":"DiskPressure","status":"False"},
                {"type":"Ready","status":"True","message":"kubelet is posting ready status"}]}},
            {"metadata":{"name":"b"},"status":{"conditions":[{"type":"Ready","status":"False","message":"no CNI"}]}},
            {"metadata":{"name":"c"}}]}"#;
        let list: NodeList = serde_json::from_str(text).unwrap();
        let found: Vec<_> = list
            .items
            .into_iter()
            .map(|node| {
                let ready = ready(node.status);
                (node.metadata.name, ready.ready, ready.reason)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("a".to_owned(), true, None),
                ("b".to_owned(), false, Some("no CNI".to_owned())),
                ("c".to_owned(), false, Some("its kubelet has not reported yet".to_owned())),
            ]
        );
    }

    #[test]
    fn a_kubeconfig_moves_to_another_url() {
        let text =
            "clusters:\n- cluster:\n    certificate-authority-data: QQ==\n    server: https://a:6443\n";
        assert_eq!(value(text, "certificate-authority-data"), Some("QQ=="));
        assert_eq!(value(text, "client-key-data"), None);
        let moved = at(text, "https://127.0.0.1:16443");
        assert_eq!(moved, text.replace("https://a:6443", "https://127.0.0.1:16443"));
    }
}
