//! What the driver asks a cluster's API server, as its administrator: the nodes and whether they are Ready.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firstboot::schema::Duty;
use fs_err as fs;
use reqwest::blocking::{Client, Response};
use reqwest::header::DATE;
use reqwest::{Certificate, Identity};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::driver::error::DriverError;
use crate::driver::machines::Machines;
use crate::driver::ready::Ready;
use crate::profile::endpoint::PORT;
use crate::results::cluster::ClusterJson;
use crate::results::report::KUBECONFIG;

/// How long an answer may take, as for wait-for-api in the images: on a busy host a healthy emulated server took more than ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer of the API server.
#[derive(Debug)]
pub(super) struct Nodes {
    /// The nodes that it knows.
    pub(super) known: BTreeMap<String, Ready>,
    /// When it answered, by its own clock.
    at: OffsetDateTime,
}

impl Nodes {
    /// What it says of a node whose machine started so long ago. For a while the API server goes by what it heard before
    /// a power cut; that counts for nothing.
    pub(super) fn since(&self, node: &str, age: Duration) -> Option<Ready> {
        let known = self.known.get(node)?;
        if known.heard.is_some_and(|heard| heard >= self.at - age) {
            return Some(known.clone());
        }
        Some(Ready { ready: false, reason: Some(SILENT.to_owned()), heard: None })
    }
}

const SILENT: &str = "its kubelet has not reported yet";

/// The administrator's ways to the API servers of a cluster.
#[derive(Debug)]
pub(super) struct Api {
    servers: Vec<Server>,
    /// The one that answered last; it is asked first.
    last: Cell<usize>,
}

/// One API server.
#[derive(Debug)]
struct Server {
    way: Way,
    client: Client,
    url: String,
}

impl Api {
    /// By the kubeconfig of the build, at every control plane that runs and is reached from this machine. None when none is.
    pub(super) fn of(
        results: &Path,
        cluster: &ClusterJson,
        machines: &dyn Machines,
    ) -> Result<Option<Self>, DriverError> {
        let ways = ways(cluster, machines)?;
        if ways.is_empty() { Ok(None) } else { Self::by(results, &ways).map(Some) }
    }

    fn by(results: &Path, ways: &[Way]) -> Result<Self, DriverError> {
        let path = results.join(KUBECONFIG);
        let text = fs::read_to_string(&path)?;
        let servers = ways.iter().map(|way| Server::new(&path, &text, *way)).collect::<Result<_, _>>()?;
        Ok(Self { servers, last: Cell::new(0) })
    }

    /// The way to the API server that answers, and its answer. One that does not is passed over.
    fn get(&self, path: &str) -> Option<(Way, Response)> {
        let count = self.servers.len();
        (0..count).map(|turn| (self.last.get() + turn) % count).find_map(|index| {
            let server = &self.servers[index];
            let answer = server.client.get(format!("{}{path}", server.url)).send().ok()?;
            let answer = answer.error_for_status().ok()?;
            self.last.set(index);
            Some((server.way, answer))
        })
    }

    /// The nodes that the API server knows; none while none answers.
    pub(super) fn nodes(&self) -> Option<Nodes> {
        let (_, answer) = self.get("/api/v1/nodes")?;
        let date = answer.headers().get(DATE)?.to_str().ok()?;
        let at = OffsetDateTime::parse(date, &Rfc2822).ok()?;
        let list: NodeList = serde_json::from_slice(&answer.bytes().ok()?).ok()?;
        let known = list.items.into_iter().map(|node| (node.metadata.name, ready(node.status))).collect();
        Some(Nodes { known, at })
    }

    /// Whether a pod may be created: that takes the service account which the controller manager makes.
    pub(super) fn takes_pods(&self) -> bool {
        self.get("/api/v1/namespaces/default/serviceaccounts/default").is_some()
    }
}

/// The way to a control plane that serves; when none of several says so, to the first.
pub(super) fn way(
    results: &Path,
    cluster: &ClusterJson,
    machines: &dyn Machines,
) -> Result<Option<Way>, DriverError> {
    let ways = ways(cluster, machines)?;
    let serving = match ways.as_slice() {
        [] | [_] => None,
        several => Api::by(results, several)?.get("/readyz").map(|(way, _)| way),
    };
    Ok(serving.or(ways.first().copied()))
}

impl Server {
    fn new(path: &Path, text: &str, way: Way) -> Result<Self, DriverError> {
        let Way { address, named } = way;
        let wrong =
            |message: &str| DriverError::Kubeconfig { path: path.to_owned(), message: message.to_owned() };
        let pem = |key: &str| {
            let value = value(text, key).ok_or_else(|| wrong(&format!("it has no `{key}`")))?;
            STANDARD.decode(value).map_err(|_| wrong(&format!("`{key}` is not base64")))
        };
        let authority = Certificate::from_pem(&pem("certificate-authority-data")?);
        let mut both = pem("client-certificate-data")?;
        both.extend(pem("client-key-data")?);
        crate::ground::tls::prepare();
        let mut client = Client::builder()
            .tls_certs_only([authority.map_err(|_| wrong("its authority is not a certificate"))?])
            .identity(Identity::from_pem(&both).map_err(|_| wrong("its client certificate does not work"))?)
            // Whatever the environment says, the cluster is on this machine.
            .no_proxy()
            .timeout(PATIENCE);
        let mut url = format!("https://{address}");
        if named {
            let name = host(text).ok_or_else(|| wrong("it has no `server`"))?;
            url = format!("https://{name}:{}", address.port());
            client = client.resolve(name, address.into());
        }
        let client = client.build().map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { way, client, url })
    }
}

/// Where the API server is reached from this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    address: SocketAddrV4,
    /// Whether its certificate does not have that address: it has to be called by its name.
    named: bool,
}

/// The ways to the control planes that run; where none does, to all that were started.
fn ways(cluster: &ClusterJson, machines: &dyn Machines) -> Result<Vec<Way>, DriverError> {
    let running = machines.running()?;
    let mut ways = Vec::new();
    for plane in cluster.with(Duty::ApiServer) {
        if let Some(address) = machines.address(plane, PORT)? {
            let named = !address.ip().is_loopback() && Some(*address.ip()) != plane.ip;
            ways.push((running.contains(&plane.name), Way { address, named }));
        }
    }
    let any = ways.iter().any(|(runs, _)| *runs);
    Ok(ways.into_iter().filter(|(runs, _)| *runs || !any).map(|(_, way)| way).collect())
}

/// The text of a kubeconfig that the build wrote, with another way to the API server.
pub(super) fn at(text: &str, way: Way) -> String {
    let name = host(text).filter(|_| way.named);
    let mut moved = String::new();
    for line in text.lines() {
        match line.split_once("server: ") {
            Some((before, _)) if before.trim().is_empty() => {
                moved += &format!("{before}server: https://{}\n", way.address);
                moved.extend(name.map(|name| format!("{before}tls-server-name: {name}\n")));
            }
            _ => moved += &format!("{line}\n"),
        }
    }
    moved
}

/// The name by which a kubeconfig calls the API server.
fn host(text: &str) -> Option<&str> {
    let authority = value(text, "server")?.strip_prefix("https://")?;
    Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host))
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
#[serde(rename_all = "camelCase")]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    last_heartbeat_time: String,
}

fn ready(status: NodeStatus) -> Ready {
    let found = status.conditions.into_iter().find(|condition| condition.r#type == "Ready");
    let Some(condition) = found else {
        return Ready { ready: false, reason: Some(SILENT.to_owned()), heard: None };
    };
    let ready = condition.status == "True";
    let heard = OffsetDateTime::parse(&condition.last_heartbeat_time, &Rfc3339).ok();
    Ready { ready, reason: (!ready).then_some(condition.message), heard }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc2822;

    use super::{NodeList, Nodes, SILENT, Way, at, ready, value};

    #[test]
    fn what_was_said_before_a_machine_started_does_not_count() {
        let text = r#"{"items":[{"metadata":{"name":"a"},"status":{"conditions":[
            {"type":"Ready","status":"True","lastHeartbeatTime":"2026-11-21T18:15:00Z"}]}}]}"#;
        let list: NodeList = serde_json::from_str(text).unwrap();
        let known = list.items.into_iter().map(|node| (node.metadata.name, ready(node.status))).collect();
        let nodes =
            Nodes { known, at: OffsetDateTime::parse("Sat, 21 Nov 2026 18:16:00 GMT", &Rfc2822).unwrap() };
        assert!(nodes.since("a", Duration::from_secs(61)).unwrap().ready);
        let silent = nodes.since("a", Duration::from_secs(59)).unwrap();
        assert_eq!((silent.ready, silent.reason.as_deref()), (false, Some(SILENT)));
        assert!(nodes.since("b", Duration::from_secs(59)).is_none());
    }

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
        let local = Way { address: "127.0.0.1:16443".parse().unwrap(), named: false };
        assert_eq!(at(text, local), text.replace("https://a:6443", "https://127.0.0.1:16443"));
        let elsewhere = Way { address: "10.7.7.7:6443".parse().unwrap(), named: true };
        let lines = "server: https://10.7.7.7:6443\n    tls-server-name: a";
        assert_eq!(at(text, elsewhere), text.replace("server: https://a:6443", lines));
    }
}
