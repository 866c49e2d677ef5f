use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use firstboot::args::Args;
use firstboot::card::Card;
use firstboot::facts::Facts;
use firstboot::machine::Machine;
use firstboot::settings::Settings;
use firstboot::source::{NoCloud, Source, table};
use fs_err as fs;

use crate::identity::seed::{texts, volume, write};
use crate::identity::{files, stream};
use crate::pki::tests::{cluster, pki, role};
use crate::profile::endpoint::Endpoint;

const EPOCH: i64 = 1_767_225_600;

/// The volume of a worker, and the stream in it.
fn seed() -> (Vec<u8>, Vec<u8>) {
    let cluster = cluster();
    let endpoint = Endpoint::in_domain("kubernetes.local");
    let identity = files(&pki(1), &endpoint, &cluster.nodes[1], role("worker")).unwrap();
    let stream = stream(&[("node-0".to_owned(), identity)], EPOCH).unwrap();
    (volume(&cluster, &cluster.nodes[1], &stream, EPOCH).unwrap(), stream)
}

/// What firstboot's reader makes of the volume in a CD drive.
fn read(volume: &[u8]) -> Settings {
    let machine = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = machine.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("sys/class/block/sr0/dev", b"11:0\n");
    put("dev/sr0", volume);
    let args = Args {
        root: machine.path().join("root"),
        sys: machine.path().join("sys"),
        dev: machine.path().join("dev"),
        ..Args::default()
    };
    NoCloud.read(&Machine::new(&args)).unwrap().unwrap()
}

#[test]
fn the_texts_of_a_node() {
    let mut cluster = cluster();
    cluster.network.gateway = Some([192, 168, 122, 1].into());
    cluster.network.dns = vec![[192, 168, 122, 1].into(), [192, 168, 122, 2].into()];
    let texts = texts(&cluster, &cluster.nodes[1], b"");
    let text: String = texts.iter().map(|(name, text)| format!("== {name}\n{text}")).collect();
    insta::assert_snapshot!(text, @r##"
    == meta-data
    instance-id: "node-0-2b5a038204791c5a"
    local-hostname: "node-0"
    == user-data
    #cloud-config
    kiln:
      node: "node-0"
    == network-config
    version: 2
    ethernets:
      kiln:
        match:
          name: "e*"
        addresses:
          - "192.168.122.11/24"
        routes:
          - to: default
            via: "192.168.122.1"
        nameservers:
          addresses:
            - "192.168.122.1"
            - "192.168.122.2"
    "##);
}

#[test]
fn firstboot_takes_the_node_and_its_identity_from_the_volume() {
    let (volume, stream) = seed();
    let settings = read(&volume);
    assert_eq!(settings.identity.as_ref().unwrap().bytes, stream);
    assert!(settings.ignored.is_empty(), "{:?}", settings.ignored);
    let cluster = cluster();
    // On other hardware than planned: the card has none of the table's addresses.
    let cards = [Card { name: "enp1s0".to_owned(), mac: "0a:00:00:00:00:01".parse().unwrap() }];
    let node = table::pick(&cluster, &settings, &cards).unwrap().unwrap();
    let facts = Facts::resolve(&cluster, "worker", &settings, &node, &cards).unwrap();
    let said: Vec<String> = facts
        .values()
        .into_iter()
        .map(|value| format!("{}: {} ({})\n", value.key, value.value, value.source))
        .collect();
    insta::assert_snapshot!(said.concat(), @"
    hostname: node-0 (NoCloud, meta-data, local-hostname)
    card: 0a:00:00:00:00:01 (the only network card, enp1s0)
    address: 192.168.122.11/24 (NoCloud, network-config, ethernets.kiln, address)
    pod-cidr: 10.200.11.0/24 (node table, by NoCloud, user-data, kiln.node)
    routes: 10.200.10.0/24 via 192.168.122.10 (server), 10.200.12.0/24 via 192.168.122.12 (node-1) (node table)
    instance-id: node-0-498b330e483c960d (NoCloud, meta-data, instance-id)
    ");
    let identity = firstboot::identity::parse(&settings.identity.unwrap().bytes, "node-0").unwrap();
    let key = identity.entries.iter().find(|entry| entry.path == "var/lib/kubelet/kubelet.key").unwrap();
    assert_eq!(key.mode, 0o600);
    assert!(identity.entries.iter().all(|entry| !entry.path.contains("var/lib/kubernetes")));
}

#[test]
fn the_same_inputs_are_the_same_volume_and_another_identity_is_another_instance() {
    let (volume, stream) = seed();
    assert!(volume == seed().0);
    assert!(volume.len() < 1 << 20, "{} bytes", volume.len());
    let (cluster, id) = (cluster(), |settings: &Settings| settings.instance_id.clone().unwrap().value);
    let mut other = stream;
    other.push(0);
    let other = super::volume(&cluster, &cluster.nodes[1], &other, EPOCH).unwrap();
    assert_ne!(id(&read(&volume)), id(&read(&other)));
}

#[test]
fn seeds_are_private() {
    let results = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (a, b) = (("a".to_owned(), vec![1]), ("b".to_owned(), vec![2]));
    write(results.path(), [(&a.0, &a.1), (&b.0, &b.1)]).unwrap();
    let folder = results.path().join("seeds");
    assert_eq!((mode(&folder), mode(&folder.join("a.iso"))), (0o700, 0o600));
    let none = tempfile::tempdir().unwrap();
    write(none.path(), []).unwrap();
    assert!(!none.path().join("seeds").exists());
}
