//! A cloud's metadata: what is asked and applied, what is kept, and what a server may do wrong.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::cloud::{EC2, GCE, ec2, gce, reply, server};
use crate::support::seed::KEY;
use crate::support::{Said, World};
use firstboot::args::Args;
use firstboot::ops::Real;
use fs_err as fs;

/// What the firmware of EC2's machines says.
const AMAZON: &[u8] = b"Amazon EC2\n";

/// A machine in a cloud, with a card that nobody knows.
fn machine(cloud: &str) -> World {
    let world = World::with_card("ens5", "0a:00:00:00:00:01");
    world.cmdline(&format!("quiet kiln.metadata={cloud}"));
    world
}

#[test]
fn ec2_says_which_node_it_is_after_the_network_is_up() {
    let world = machine("ec2");
    world.metadata(ec2(&EC2));
    let before = world.tree();
    assert_eq!(world.boot().lines(), "the ec2 metadata come next, when the network is up");
    let mut tree = world.tree();
    tree.retain(|path, _| !path.starts_with("/run"));
    assert_eq!(tree, before);
    insta::assert_snapshot!(world.read("run/systemd/network/80-kiln-metadata.network"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    [Match]
    Type=ether
    Kind=!*

    [Network]
    DHCP=ipv4
    ");
    assert_eq!(world.read("run/kiln/metadata"), "ec2\n");
    insta::assert_snapshot!(world.boot_metadata().lines(), @"
    node-1: ignored, Kiln's images do nothing with it: ec2 metadata, user-data, runcmd
    node-1: hostname node-1 (ec2 metadata, meta-data, local-hostname)
    node-1: card 0a:00:00:00:00:01 (the only network card, ens5)
    node-1: address 192.168.122.77/24 (ec2 metadata, address)
    node-1: gateway 192.168.122.1 (node table, by host name: ec2 metadata, meta-data, local-hostname)
    node-1: dns 192.168.122.1 (node table, by host name: ec2 metadata, meta-data, local-hostname)
    node-1: pod-cidr 10.200.9.0/24 (ec2 metadata, user-data, kiln.pod-cidr)
    node-1: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.0.0/24 via 192.168.122.11 (node-0) (node table)
    node-1: user root 1 key (ec2 metadata, meta-data, public-keys)
    node-1: instance-id i-0123 (ec2 metadata, meta-data, instance-id)
    node-1: identity 2 files (/identity)
    node-1: applied 10 files in N ms, 0 unchanged
    ");
    assert!(!world.root().join("run/systemd/network/80-kiln-metadata.network").exists());
    insta::assert_snapshot!(world.read("etc/ssh/authorized_keys.seed/root"), @"
    # Written by Kiln's firstboot; it writes this again when the node's values change.
    ssh-ed25519 AAAA ada
    ");
    insta::assert_snapshot!(world.read("var/lib/kiln/metadata.json"), @r#"
    {
      "version": 1,
      "seed": {
        "node": null,
        "hostname": {
          "value": "node-1",
          "origin": "ec2 metadata, meta-data, local-hostname"
        },
        "address": {
          "value": "192.168.122.77/24",
          "origin": "ec2 metadata, address"
        },
        "gateway": null,
        "dns": null,
        "pod-cidr": {
          "value": "10.200.9.0/24",
          "origin": "ec2 metadata, user-data, kiln.pod-cidr"
        },
        "instance-id": {
          "value": "i-0123",
          "origin": "ec2 metadata, meta-data, instance-id"
        },
        "accounts": [
          {
            "value": {
              "name": "root",
              "gecos": "",
              "shell": "",
              "keys": [
                "ssh-ed25519 AAAA ada"
              ]
            },
            "origin": "ec2 metadata, meta-data, public-keys"
          }
        ],
        "interfaces": [],
        "ignored": [
          "ec2 metadata, user-data, runcmd"
        ]
      }
    }
    "#);
}

#[test]
fn gce_says_the_same_in_one_answer() {
    let world = machine("gce");
    world.metadata(gce(GCE));
    world.boot();
    insta::assert_snapshot!(world.boot_metadata().lines(), @"
    node-1: hostname node-1 (gce metadata, meta-data, local-hostname)
    node-1: card 0a:00:00:00:00:01 (the only network card, ens5)
    node-1: address 192.168.122.77/24 (gce metadata, address)
    node-1: gateway 192.168.122.1 (node table, by host name: gce metadata, meta-data, local-hostname)
    node-1: dns 192.168.122.1 (node table, by host name: gce metadata, meta-data, local-hostname)
    node-1: pod-cidr 10.200.9.0/24 (gce metadata, user-data, kiln.pod-cidr)
    node-1: routes 10.200.2.0/24 via 192.168.122.10 (server), 10.200.0.0/24 via 192.168.122.11 (node-0) (node table)
    node-1: user root 1 key (gce metadata, meta-data, public-keys)
    node-1: instance-id 4711 (gce metadata, meta-data, instance-id)
    node-1: identity 2 files (/identity)
    node-1: applied 10 files in N ms, 0 unchanged
    ");
}

#[test]
fn the_image_may_name_the_cloud() {
    let world = World::with_card("ens5", "0a:00:00:00:00:01");
    world.edit_table("\"nodes\"", "\"metadata\": \"ec2\", \"nodes\"");
    world.metadata(ec2(&EC2));
    assert_eq!(world.boot().lines(), "the ec2 metadata come next, when the network is up");
    assert!(!world.boot_metadata().failed);
    assert_eq!(world.read("etc/hostname"), "node-1\n");
}

#[test]
fn nobody_is_asked_without_a_word() {
    let world = World::node_0();
    world.metadata(server(|head, _| panic!("asked: {head}")));
    assert!(!world.boot().failed && !world.root().join("run").exists());
    let tree = world.tree();
    let said = world.boot_metadata();
    assert!(!said.failed && said.console.is_empty() && world.tree() == tree);
}

#[test]
fn a_disk_and_the_cloud_may_give_keys_to_one_user() {
    let world = machine("ec2");
    world.metadata(ec2(&EC2));
    world.seed(&[(
        "user-data",
        &format!("#cloud-config\nssh_authorized_keys: ['{KEY}', ssh-ed25519 AAAA ada]\n"),
    )]);
    world.boot();
    let said = world.boot_metadata();
    let line =
        "user root 2 keys (NoCloud, user-data, ssh_authorized_keys; ec2 metadata, meta-data, public-keys)";
    assert!(said.console.contains(line), "{}", said.console);
    let keys = world.read("etc/ssh/authorized_keys.seed/root");
    assert!(keys.ends_with(&format!("change.\n{KEY}\nssh-ed25519 AAAA ada\n")), "{keys}");
}

#[test]
fn who_answers_later_is_not_believed_outside_of_the_cloud() {
    let world = machine("ec2");
    world.put("sys/class/dmi/id/sys_vendor", b"QEMU\n");
    world.metadata(ec2(&EC2));
    world.boot();
    world.boot_metadata();
    fs::remove_dir_all(world.root().join("run")).unwrap();
    let tree = world.tree();
    world.metadata(ec2(&EC2[..5]));
    assert_eq!(world.boot().lines(), "node-1 is up to date");
    // The unit that asks starts where this is.
    assert!(!world.root().join("run/kiln/metadata").exists());
    assert_eq!(world.tree(), tree);
}

#[test]
fn in_gce_the_firmware_has_another_name() {
    let world = machine("gce");
    world.put("sys/class/dmi/id/product_name", b"Google Compute Engine\n");
    world.metadata(gce(GCE));
    world.boot();
    world.boot_metadata();
    fs::remove_dir_all(world.root().join("run")).unwrap();
    world.boot();
    assert_eq!(world.read("run/kiln/metadata"), "gce\n");
}

#[test]
fn a_later_boot_changes_nothing_and_new_metadata_are_applied() {
    let world = machine("ec2");
    world.put("sys/class/dmi/id/sys_vendor", AMAZON);
    world.metadata(ec2(&EC2));
    world.boot();
    world.boot_metadata();
    let tree = world.tree();
    assert_eq!(world.boot().lines(), "node-1 is up to date");
    assert_eq!(world.boot_metadata().lines(), "node-1 is up to date");
    assert_eq!(world.tree(), tree);
    world.metadata(ec2(&EC2[..5]));
    assert_eq!(world.boot().lines(), "node-1 is up to date");
    assert!(world.boot_metadata().console.contains("pod-cidr 10.200.1.0/24 (node table"));
}

#[test]
fn what_the_server_said_is_kept_again_after_it_was_removed() {
    let world = machine("ec2");
    world.metadata(ec2(&EC2));
    world.boot();
    world.boot_metadata();
    let tree = world.tree();
    fs::remove_file(world.root().join("var/lib/kiln/metadata.json")).unwrap();
    assert_eq!(world.boot().lines(), "the ec2 metadata come next, when the network is up");
    let said = world.boot_metadata().lines();
    assert!(said.contains("applied 1 file in") && world.tree() == tree, "{said}");
    assert_eq!(world.boot().lines(), "node-1 is up to date");

    // An earlier attempt may have applied everything and stopped then.
    world.put("root/run/systemd/network/80-kiln-metadata.network", b"");
    assert_eq!(world.boot_metadata().lines(), "node-1 is up to date");
    assert_eq!(world.tree(), tree);
}

#[test]
fn a_silent_server_stops_the_first_boot_and_no_later_one() {
    let world = machine("ec2");
    world.put("sys/class/dmi/id/sys_vendor", AMAZON);
    // A port that nobody listens at.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.metadata(nobody);
    world.boot();
    let before = world.tree();
    let impatient = Args { wait: Duration::ZERO, ..world.metadata_args() };
    let said = world.boot_with(&impatient, &mut Real);
    assert!(said.failed && world.tree() == before);
    let text = said.lines().replace(&nobody.to_string(), "SERVER");
    insta::assert_snapshot!(text, @"
    ec2 metadata, /latest/api/token: no answer from SERVER in 0 s: Connection refused (os error 111)
    nothing was written; correct this and boot again
    ");
    world.metadata(ec2(&EC2));
    assert!(!world.boot_metadata().failed);
    world.metadata(nobody);
    let text = world.boot_with(&impatient, &mut Real).lines().replace(&nobody.to_string(), "SERVER");
    insta::assert_snapshot!(text, @"
    ec2 metadata, /latest/api/token: no answer from SERVER in 0 s: Connection refused (os error 111); what it said at an earlier boot stays
    node-1 is up to date
    ");
}

#[test]
fn a_name_of_the_cloud_s_own_renames_nothing() {
    let world = World::node_0();
    world.cmdline("kiln.metadata=ec2");
    let mut things = EC2;
    things[1].1 = "ip-192-168-122-77.ec2.internal";
    world.metadata(ec2(&things));
    world.boot();
    let said = world.boot_metadata();
    assert!(
        said.console.contains("ec2 metadata, host name ip-192-168-122-77.ec2.internal"),
        "{}",
        said.console
    );
    assert_eq!(world.read("etc/hostname"), "node-0\n");
}

/// A boot with a server that does something wrong: how it ends, in how much time, with nothing written.
fn refusal(world: &World, wait: u64) -> (Said, Duration) {
    world.boot();
    let before = world.tree();
    #[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
    let start = Instant::now();
    let args = Args { wait: Duration::from_secs(wait), ..world.metadata_args() };
    let said = world.boot_with(&args, &mut Real);
    assert!(said.failed, "accepted:\n{}", said.console);
    assert_eq!(world.tree(), before, "something was written:\n{}", said.console);
    (said, start.elapsed())
}

#[test]
fn wrong_answers_are_named() {
    /// What a test server sends to whoever connects.
    type Sent = &'static [u8];
    const ANSWERS: [(&str, Sent); 10] = [
        ("gce", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        ("gce", b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 14\r\n\r\n<html>no</html>"),
        ("gce", b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 9999999999\r\n\r\n"),
        (
            "gce",
            b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        ),
        ("gce", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
        ("gce", b"HTTP/1.1 301 Moved\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
        ("ec2", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("ec2", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x01\x02\x03"),
        ("ec2", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        ("ec2", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    ];
    let mut text = String::new();
    for (cloud, answer) in ANSWERS {
        let world = machine(cloud);
        world.metadata(server(move |_, mut stream| {
            let _ = stream.write_all(answer);
        }));
        let (said, _) = refusal(&world, 1);
        text += &format!("{}\n", said.lines().lines().next().unwrap());
    }
    insta::assert_snapshot!(text, @"
    gce metadata, /computeMetadata/v1/instance/?recursive=true: the answer has no `Metadata-Flavor: Google`
    gce metadata, /computeMetadata/v1/instance/?recursive=true: expected value at line 1 column 1
    gce metadata, /computeMetadata/v1/instance/?recursive=true: it is larger than 262144 bytes
    gce metadata, /computeMetadata/v1/instance/?recursive=true: it is larger than 262144 bytes
    gce metadata, /computeMetadata/v1/instance/?recursive=true: its length is no number
    gce metadata, /computeMetadata/v1/instance/?recursive=true: the server answers with status 301
    ec2 metadata, /latest/api/token: it is no HTTP
    ec2 metadata, /latest/api/token: the answer is no text
    ec2 metadata, /latest/api/token: the server answers with status 403; it is switched off for this machine
    ec2 metadata, /latest/api/token: there is no such thing
    ");
}

#[test]
fn wrong_texts_are_named_like_those_of_a_seed() {
    let mut text = String::new();
    for (index, body) in [
        (2, "192.168.122.300"),
        (2, "10.1.1.1"),
        (3, "first"),
        (4, "no key"),
        (5, "#cloud-config\nkiln: {adress: x}\n"),
        (5, "#!/bin/sh\n"),
        (5, "\u{1f}\u{8b}"),
    ] {
        let world = machine("ec2");
        let mut things = EC2;
        things[index].1 = body;
        world.metadata(ec2(&things));
        text += &format!("{}\n", refusal(&world, 1).0.lines().lines().next().unwrap());
    }
    insta::assert_snapshot!(text, @r"
    ec2 metadata, address: `address` is `192.168.122.300/24`; write a host's address with the length of its network's prefix, like `192.168.122.11/24`
    ec2 metadata, address: 10.1.1.1/24 cannot reach node `server` at 192.168.122.10 directly
    ec2 metadata, /latest/meta-data/public-keys/: a key has no number
    ec2 metadata, meta-data, line 1: `public-keys[0]` is `no key`; write a public key of SSH, like `ssh-ed25519 AAAA… name`
    ec2 metadata, user-data, line 2: unknown key `kiln.adress`; did you mean `kiln.address`? The keys are `kiln.address`, `kiln.dns`, `kiln.gateway`, `kiln.hostname`, `kiln.metadata`, `kiln.node`, `kiln.peers`, `kiln.pod-cidr`
    ec2 metadata, user-data, line 1: the first line is `#!/bin/sh`; only `#cloud-config` is read
    ec2 metadata, user-data, line 1: the first line is `\u{1f}\u{8b}`; only `#cloud-config` is read
    ");
}

#[test]
fn a_slow_or_endless_or_broken_answer_ends_in_time() {
    let slow = server(|_, mut stream| {
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let endless = server(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\n\r\n");
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    let head = server(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"Name: value\r\n").is_ok() {}
    });
    let short = server(|_, mut stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 100\r\n\r\n{\"id\": 1}",
        );
    });
    let mut text = String::new();
    for address in [slow, endless, head, short] {
        let world = machine("gce");
        world.metadata(address);
        let (said, took) = refusal(&world, 2);
        assert!(took < Duration::from_secs(20), "{took:?}");
        text +=
            &format!("{}\n", said.lines().lines().next().unwrap().replace(&address.to_string(), "SERVER"));
    }
    insta::assert_snapshot!(text, @"
    gce metadata, /computeMetadata/v1/instance/?recursive=true: no answer from SERVER in 2 s: it takes too long
    gce metadata, /computeMetadata/v1/instance/?recursive=true: it is larger than 262144 bytes
    gce metadata, /computeMetadata/v1/instance/?recursive=true: a line or its head is too long
    gce metadata, /computeMetadata/v1/instance/?recursive=true: no answer from SERVER in 2 s: the answer breaks off
    ");
}

#[test]
fn a_server_that_starts_is_asked_again() {
    let mut asked = 0;
    let world = machine("gce");
    world.metadata(server(move |_, stream| {
        asked += 1;
        match asked {
            1 => drop(stream),
            2 => reply(stream, "500 Internal Server Error", "", b"starting"),
            3 => reply(stream, "503 Service Unavailable", "", b""),
            _ => reply(stream, "200 OK", "Metadata-Flavor: Google\r\n", GCE.as_bytes()),
        }
    }));
    world.boot();
    let args = Args { wait: Duration::from_secs(60), ..world.metadata_args() };
    let said = world.boot_with(&args, &mut Real);
    assert!(!said.failed, "{}", said.console);
    assert_eq!(world.read("etc/hostname"), "node-1\n");
}

#[test]
fn the_token_is_written_nowhere() {
    let world = machine("ec2");
    world.metadata(ec2(&EC2));
    let said = [world.boot(), world.boot_metadata()];
    assert!(said.iter().all(|said| !said.failed && !said.console.contains("SECRET")));
    let has = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"SECRET");
    assert!(!world.tree().values().any(|(_, bytes)| has(bytes)));
    fs::remove_file(world.root().join("var/lib/kiln/metadata.json")).unwrap();
}
