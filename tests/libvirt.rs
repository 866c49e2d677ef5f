//! Machines in a real libvirt, made by virt-install: they come up, are reached, and go without a trace.

#![expect(clippy::disallowed_methods, reason = "unshare is the host's, as libvirt is")]

use std::path::Path;
use std::process::Command;

use crate::support::{BUILDER, PROFILE, builder, fresh, project, run, secret, text};
use nix::unistd::Uid;

/// Kiln's command line, with what all scripts give to it.
const BUILDER_FUNCTION: &str =
    r#"builder() { command=$1; shift; "$BUILDER" "$command" --profile "$PROFILE" --out "$OUT" "$@"; }"#;

/// Beside libvirt: up by a firmware that the host prefers to have Microsoft's keys in, a look from all sides, down.
const VISIT: &str = r#"
builder up --driver libvirt --accel tcg --firmware uefi --node node-0 --wait login --timeout 600
echo "domains: $(virsh --connect qemu:///system list --name | xargs)"
echo "it is $(builder ssh node-0 -- hostname), firstboot is $(builder ssh node-0 -- systemctl is-active kiln-firstboot)"
builder status
builder logs node-0 | grep 'firstboot: node-0: '
builder down --delete
echo "left: $(virsh --connect qemu:///system list --all --name | xargs) $(virsh --connect qemu:///system net-list --all --name | xargs) $(virsh --connect qemu:///system pool-list --all --name | xargs)"
"#;

/// A whole cluster in one machine, which gets its identity from a seed.
const CLUSTER: &str = r#"
builder up --driver libvirt --accel tcg --timeout 1500
virsh --connect qemu:///system domblklist kiln-kiln-single-server
builder status --checks
builder down --delete --grace 0
"#;

/// A data disk outlives the machine's own, and what is printed makes the same machine, once.
const DATA_DISK: &str = r#"
builder up --driver libvirt --accel tcg --timeout 1500
builder ssh server -- 'mountpoint /var/lib/kiln-data && echo written >/var/lib/kiln-data/mark'
builder up --driver libvirt --accel tcg --replace server --timeout 1500
echo "the mark is $(builder ssh server -- cat /var/lib/kiln-data/mark)"
builder down --delete --grace 0
sudo() { "$@"; }
builder print --driver libvirt >"$OUT/print.sh"
cd "$OUT/libvirt"
. "$OUT/print.sh"
virsh --connect qemu:///system domblklist kiln-kiln-libvirt-server
if (. "$OUT/print.sh") 2>&1; then echo "it ran twice"; fi
virsh --connect qemu:///system destroy kiln-kiln-libvirt-server
"#;

#[test]
#[ignore = "the long tier: `./test long`"]
fn a_data_disk_stays_in_libvirt_and_printed_commands_run_once() {
    const PROFILE: &str = "tests/libvirt.toml";
    let out = fresh("libvirt-data");
    let key = secret(&out, 8);
    builder(&["build", "--profile", PROFILE, "--out", text(&out), "--secret", text(&key)]);
    let said = beside_libvirt(DATA_DISK, PROFILE, &out);
    for line in [
        "/var/lib/kiln-data is a mountpoint\n",
        "the mark is written\n",
        "server_data.qcow2\n",
        "server.qcow2 is there already: start its machine with virsh, or remove both\n",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    assert!(!said.contains("it ran twice"), "{said}");
}

#[test]
fn a_worker_becomes_its_node_by_its_seed_in_libvirt_and_goes() {
    let out = fresh("libvirt");
    let key = secret(&out, 7);
    let seed = ["--identity", "seed", "--out", text(&out), "--secret", text(&key)];
    builder(&[&["build", "--profile", PROFILE], &seed[..]].concat());
    let said = beside_libvirt(VISIT, PROFILE, &out);
    for line in [
        "domains: kiln-kiln-node-0\n",
        "it is node-0, firstboot is active\n",
        "firstboot: node-0: address 192.168.122.11/24 (",
        "files (NoCloud, kiln-identity.tar)",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    assert_eq!(said.lines().last().map(str::trim_end), Some("left:"), "{said}");
}

#[test]
#[ignore = "the long tier: `./test long`"]
fn a_cluster_turns_ready_in_libvirt_by_a_seed() {
    let out = fresh("libvirt-seed");
    let key = secret(&out, 7);
    let seed = ["--identity", "seed", "--out", text(&out), "--secret", text(&key)];
    builder(&[&["build", "--profile", "single"], &seed[..]].concat());
    let said = beside_libvirt(CLUSTER, "single", &out);
    assert!(said.contains("server.iso"), "the machine has its seed: {said}");
    assert!(said.contains("pod-to-Service") && !said.contains("FAIL"), "{said}");
}

/// What a script says beside a libvirt of its own.
fn beside_libvirt(script: &str, profile: &str, out: &Path) -> String {
    assert!(Uid::effective().is_root(), "this test starts a libvirt of its own: run it as root");
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
    unshare.arg(project().join("tests/libvirt.sh")).args([
        "sh",
        "-ec",
        &format!("{BUILDER_FUNCTION}\n{script}"),
    ]);
    unshare.env("BUILDER", BUILDER).env("PROFILE", profile).env("OUT", text(out));
    run(unshare.current_dir(project())).stdout
}
