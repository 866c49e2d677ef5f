//! Many nodes: 31 machines on one switch, and a profile of 500.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::support::{End, builder, fresh, secret, text};
use fs_err as fs;
use serde_json::Value;

/// A profile of a control plane and workers up to a number of nodes, with as little memory as a machine starts with.
fn profile(folder: &Path, nodes: u32) -> PathBuf {
    let mut profile = String::from(
        "[cluster]\nname = \"many\"\npod-cidr = \"10.128.0.0/15\"\nservice-cidr = \"10.96.0.0/16\"\n\n\
         [network]\nmode = \"static\"\ncidr = \"10.64.0.0/22\"\ngateway = \"10.64.0.1\"\n",
    );
    for index in 0..nodes {
        let role = if index == 0 { "control-plane" } else { "worker" };
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 64, 0, 10)) + index);
        profile += &format!(
            "\n[[node]]\nname = \"n{index}\"\nrole = \"{role}\"\nip = \"{ip}\"\nmemory = \"256MiB\"\n"
        );
    }
    let path = folder.join("many.toml");
    fs::write(&path, profile).unwrap();
    path
}

#[test]
fn a_profile_of_500_nodes_plans_and_its_seeds_are_made() {
    let out = fresh("nodes-500");
    let (profile, secret) = (profile(&out, 500), secret(&out, 7));
    for node in ["n0", "n1", "n499"] {
        let seed =
            ["seed", "--profile", text(&profile), "--out", text(&out), "--secret", text(&secret), node];
        let path = PathBuf::from(builder(&seed).trim_end());
        assert!(fs::metadata(&path).unwrap().len() > 100_000, "{}", path.display());
    }
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn one_switch_has_room_for_31_machines() {
    let out = fresh("nodes-31");
    let (profile, secret) = (profile(&out, 31), secret(&out, 7));
    let results = ["--profile", text(&profile), "--out", text(&out)];
    builder(&[&["build", "--identity", "seed", "--secret", text(&secret)], &results[..]].concat());
    let _end = End(text(&profile), &out);
    builder(&[&["up", "--wait", "none", "--accel", "tcg"], &results[..]].concat());
    let status = builder(&[&["status", "--json"], &results[..]].concat());
    let status: Value = serde_json::from_str(&status).unwrap();
    let nodes = status["nodes"].as_array().unwrap();
    // `up` has seen each answer on its control socket.
    let running = nodes.iter().filter(|node| node["state"] == "running").count();
    assert_eq!((running, nodes.len()), (31, 31), "{status:#}");
    builder(&[&["down", "--grace", "0", "--delete"], &results[..]].concat());
}
