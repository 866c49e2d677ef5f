//! A real machine has a container image that a registry had: its digest stands in the lockfile, its two layers came to
//! the build, and containerd runs it without asking anybody.

use crate::lab::eventually;
use crate::shell::{MESSAGE, REFERENCE, Shell};
use crate::support::{End, PROFILE, builder, fresh, text};

#[test]
fn an_image_of_a_registry_runs_on_a_machine_without_one() {
    let Some(shell) = Shell::start() else { return };
    let out = fresh("registry");
    let _ends = End(PROFILE, &out);
    let lockfile = shell.lockfile();
    shell.build(PROFILE, &lockfile, &out);

    let results = ["--profile", PROFILE, "--out", text(&out)];
    builder(&[&["up", "--node", "node-0", "--wait", "login"], &results[..]].concat());
    let command = format!("ctr --namespace k8s.io run --rm {REFERENCE} probe /bin/busybox cat /etc/message");
    let command = format!("systemctl is-active --quiet kiln-images && {command} || echo not yet");
    let said = eventually(|| {
        let said = builder(&[&["ssh"], &results[..], &["node-0", "--", &command]].concat());
        if said.contains("not yet") { Err(said) } else { Ok(said) }
    });
    assert_eq!(said, MESSAGE);
}
