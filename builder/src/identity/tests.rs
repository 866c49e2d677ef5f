use std::io::Read;

use crate::identity::{IdentityError, IdentityFile, admin_kubeconfig, files, partition};
use crate::pki::PkiError;
use crate::pki::tests::{cluster, pki, role};
use crate::profile::endpoint::Endpoint;

fn of(node: usize) -> Vec<IdentityFile> {
    let node = &cluster().nodes[node];
    files(&pki(1), &endpoint(), node, role(&node.role)).unwrap()
}

fn endpoint() -> Endpoint {
    Endpoint::in_domain("kubernetes.local")
}

fn table(files: &[IdentityFile]) -> String {
    let line = |file: &IdentityFile| format!("{:04o} {}\n", file.mode, file.path);
    files.iter().map(line).collect()
}

#[test]
fn a_worker_gets_its_own_files_and_no_authority() {
    insta::assert_snapshot!(table(&of(1)), @"
    0644 etc/ssh/authorized_keys.d/root
    0600 var/lib/kube-proxy/kubeconfig
    0644 var/lib/kubelet/ca.crt
    0600 var/lib/kubelet/kubeconfig
    0644 var/lib/kubelet/kubelet.crt
    0600 var/lib/kubelet/kubelet.key
    ");
}

#[test]
fn a_control_plane_node_gets_both() {
    insta::assert_snapshot!(table(&of(0)), @"
    0644 etc/etcd/ca.crt
    0644 etc/etcd/peer.crt
    0600 etc/etcd/peer.key
    0644 etc/etcd/server.crt
    0600 etc/etcd/server.key
    0644 etc/ssh/authorized_keys.d/root
    0600 var/lib/kube-proxy/kubeconfig
    0644 var/lib/kubelet/ca.crt
    0600 var/lib/kubelet/kubeconfig
    0644 var/lib/kubelet/kubelet.crt
    0600 var/lib/kubelet/kubelet.key
    0600 var/lib/kubernetes/admin.kubeconfig
    0644 var/lib/kubernetes/apiserver-etcd-client.crt
    0600 var/lib/kubernetes/apiserver-etcd-client.key
    0644 var/lib/kubernetes/ca.crt
    0600 var/lib/kubernetes/ca.key
    0600 var/lib/kubernetes/encryption-config.yaml
    0644 var/lib/kubernetes/etcd-ca.crt
    0644 var/lib/kubernetes/front-proxy-ca.crt
    0644 var/lib/kubernetes/front-proxy-client.crt
    0600 var/lib/kubernetes/front-proxy-client.key
    0644 var/lib/kubernetes/kube-api-server.crt
    0600 var/lib/kubernetes/kube-api-server.key
    0644 var/lib/kubernetes/kube-apiserver-kubelet-client.crt
    0600 var/lib/kubernetes/kube-apiserver-kubelet-client.key
    0600 var/lib/kubernetes/kube-controller-manager.kubeconfig
    0600 var/lib/kubernetes/kube-scheduler.kubeconfig
    0644 var/lib/kubernetes/service-accounts.crt
    0600 var/lib/kubernetes/service-accounts.key
    ");
    assert_eq!(files(&pki(1), &endpoint(), &cluster().nodes[0], role("single")).unwrap(), of(0));
}

#[test]
fn whatever_holds_a_key_is_private_and_no_spare_authority_leaves() {
    let pki = pki(1);
    for file in of(0).into_iter().chain(of(1)).chain(of(2)) {
        let text = String::from_utf8(file.content).unwrap();
        let secret = ["PRIVATE KEY", "client-key-data", "secret:"].iter().any(|mark| text.contains(mark));
        assert_eq!(file.mode, if secret { 0o600 } else { 0o644 }, "{}", file.path);
        for kept in ["etcd-ca", "front-proxy-ca"] {
            assert_ne!(text, pki.issued(kept).unwrap().key.expose(), "{}", file.path);
        }
    }
}

#[test]
fn workers_reach_in_domain_by_a_name_and_each_of_these_itself() {
    let server = |file: &IdentityFile| {
        let text = std::str::from_utf8(&file.content).unwrap();
        text.lines().find_map(|line| line.trim().strip_prefix("server: ")).map(str::to_owned)
    };
    let servers = |node: usize| of(node).iter().filter_map(server).collect::<Vec<_>>();
    assert_eq!(servers(0), ["https://127.0.0.1:6443"; 5]);
    assert_eq!(servers(1), ["https://api-server.kubernetes.local:6443"; 2]);
    let admin = admin_kubeconfig(&pki(1), &endpoint()).unwrap();
    assert!(admin.expose().contains("server: https://api-server.kubernetes.local:6443\n"));
}

#[test]
fn a_stranger_is_refused() {
    let mut cluster = cluster();
    cluster.nodes[1].name = "node-7".into();
    let error = files(&pki(1), &endpoint(), &cluster.nodes[1], role("worker")).unwrap_err();
    assert!(matches!(error, PkiError::NotIssued(label) if label == "node/node-7"));
}

#[test]
fn the_partition_reads_back_and_is_the_same_every_time() {
    let nodes = [("node-0".to_owned(), of(1)), ("node-1".to_owned(), of(2))];
    let bytes = partition(&nodes, 1_767_225_600, 1 << 20).unwrap();
    assert!(bytes == partition(&nodes, 1_767_225_600, 1 << 20).unwrap());
    let mut names = Vec::new();
    let mut read = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(
            (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
            (1_767_225_600, 0, 0)
        );
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        if header.entry_type().is_dir() {
            assert_eq!(header.mode().unwrap(), 0o755);
            names.push(path);
            continue;
        }
        let parent = format!("{}/", path.rsplit_once('/').unwrap().0);
        assert!(names.contains(&parent), "{parent} comes before {path}");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        read.push((path, header.mode().unwrap(), content));
    }
    let expected: Vec<_> = nodes
        .iter()
        .flat_map(|(node, files)| {
            files.iter().map(move |file| (format!("{node}/{}", file.path), file.mode, file.content.clone()))
        })
        .collect();
    assert_eq!(read, expected);
    assert_eq!(
        names[..4],
        ["node-0/", "node-0/etc/", "node-0/etc/ssh/", "node-0/etc/ssh/authorized_keys.d/"]
    );
    assert_eq!(names.len(), 16);
}

/// What is written here is what firstboot reads.
#[test]
fn firstboot_reads_its_own_node_and_only_that() {
    let nodes = [("node-0".to_owned(), of(1)), ("node-1".to_owned(), of(2))];
    let bytes = partition(&nodes, 0, 1 << 20).unwrap();
    let identity = firstboot::identity::parse(&bytes, "node-1").unwrap();
    let read: Vec<_> = identity
        .entries
        .into_iter()
        .inspect(|entry| assert_eq!((entry.owner.uid, entry.owner.gid), (0, 0)))
        .filter_map(|entry| Some((entry.path, entry.mode, entry.content?)))
        .collect();
    let expected: Vec<_> = of(2).into_iter().map(|file| (file.path, file.mode, file.content)).collect();
    assert_eq!(read, expected);
    assert!(firstboot::identity::parse(&bytes, "server").is_err());
}

#[test]
fn what_firstboot_would_refuse_is_not_written() {
    let large = IdentityFile {
        path: "etc/large.key".into(),
        mode: 0o600,
        content: vec![b'x'; firstboot::identity::LARGEST_FILE as usize + 1],
    };
    let error = partition(&[("node-0".to_owned(), vec![large])], 0, u64::MAX).unwrap_err();
    insta::assert_snapshot!(error, @"firstboot would refuse it: identity: entry `node-0/etc/large.key` has 4194305 bytes, over the limit of 4194304");
}

#[test]
fn a_small_partition_is_refused_and_an_exact_one_is_not() {
    let nodes = [("node-0".to_owned(), of(1))];
    let Err(IdentityError::TooSmall { needed, size, nodes: 1 }) = partition(&nodes, 0, 512) else {
        panic!("512 bytes cannot hold an identity");
    };
    assert_eq!(size, 512);
    assert_eq!(partition(&nodes, 0, needed).unwrap().len() as u64, needed);
    assert!(partition(&nodes, 0, needed - 1).is_err());
    // No node at all: the partition of an image for seeds.
    assert!(partition(&[], 0, 4096).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn debug_output_holds_no_content() {
    for file in of(0) {
        assert_eq!(
            format!("{file:?}"),
            format!("IdentityFile({:04o} {}, {} bytes)", file.mode, file.path, file.content.len())
        );
    }
}
