//! A worker in a real libvirt, made by virt-install: it comes up, is reached, and goes without a trace.

#![expect(clippy::disallowed_methods, reason = "unshare is the host's, as libvirt is")]

mod support;

use std::process::Command;

use nix::unistd::Uid;
use support::{BUILDER, PROFILE, build, fresh, project, run, text};

/// Beside libvirt: up, a look from all sides, down.
const VISIT: &str = r#"
builder() { command=$1; shift; "$BUILDER" "$command" --profile "$PROFILE" --out "$OUT" "$@"; }
builder up --driver libvirt --accel tcg --node node-0 --wait login --timeout 600
echo "domains: $(virsh --connect qemu:///system list --name | xargs)"
echo "it is $(builder ssh node-0 -- hostname), firstboot is $(builder ssh node-0 -- systemctl is-active kiln-firstboot)"
builder status
builder logs node-0 | grep 'firstboot: node-0: address'
builder down --delete
echo "left: $(virsh --connect qemu:///system list --all --name | xargs) $(virsh --connect qemu:///system net-list --all --name | xargs) $(virsh --connect qemu:///system pool-list --all --name | xargs)"
"#;

#[test]
fn a_worker_comes_up_in_libvirt_and_goes() {
    assert!(Uid::effective().is_root(), "this test starts a libvirt of its own: run it as root");
    let out = fresh("libvirt");
    build(&out);
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
    unshare.arg(project().join("tests/libvirt.sh")).args(["sh", "-ec", VISIT]);
    unshare.env("BUILDER", BUILDER).env("PROFILE", PROFILE).env("OUT", text(&out));
    let said = run(unshare.current_dir(project())).stdout;
    for line in [
        "domains: kiln-kiln-node-0\n",
        "it is node-0, firstboot is active\n",
        "firstboot: node-0: address 192.168.122.11/24 (node table, by MAC",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    assert_eq!(said.lines().last().map(str::trim_end), Some("left:"), "{said}");
}
