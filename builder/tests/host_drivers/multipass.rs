//! `--driver multipass`.

use fs_err as fs;

use super::{Lab, SSH};

fn lab() -> Lab {
    Lab::new(&[("multipass", include_str!("multipass.sh")), ("ssh", SSH)])
}

#[test]
fn instances_are_launched_reached_stopped_and_deleted() {
    let lab = lab();
    lab.done("up", &["--driver", "multipass", "--wait", "login", "--timeout", "60"]);
    insta::assert_snapshot!(lab.calls());
    insta::assert_snapshot!(fs::read_to_string(lab.path("user-data.kiln-lab-a")).unwrap(), @r##"
    #cloud-config
    kiln:
      node: "a"
      hostname: "a"
    "##);

    // The driver is remembered.
    insta::assert_snapshot!(lab.done("status", &[]).stdout);
    let status: serde_json::Value = serde_json::from_str(&lab.done("status", &["--json"]).stdout).unwrap();
    assert_eq!(
        (&status["driver"], &status["nodes"][0]["reached_at"]),
        (&"multipass".into(), &"10.7.7.10".into())
    );
    let kubeconfig = lab.done("kubeconfig", &[]).stdout;
    let lines = "    server: https://10.7.7.10:6443\n    tls-server-name: a.kubernetes.local\n";
    assert!(kubeconfig.contains(lines), "{kubeconfig}");
    let said = lab.done("ssh", &["b", "--", "uptime"]).stdout;
    assert!(said.ends_with(" -p 22 root@10.7.7.10 -- uptime\n"), "{said}");
    let said = lab.done("logs", &["a", "--follow"]).stdout;
    assert!(said.ends_with("root@10.7.7.10 -- journalctl --boot --no-pager --follow\n"), "{said}");
    lab.calls();

    // Another one is refused while there is something of this one.
    let said = lab.builder("up", &["--driver", "libvirt"]);
    assert_eq!(said.code, 1);
    insta::assert_snapshot!(said.stderr);
    assert_eq!(lab.builder("down", &["--driver", "qemu"]).code, 1);
    assert_eq!(lab.calls(), "");

    lab.done("down", &[]);
    let said = lab.done("up", &["--node", "b", "--wait", "none"]);
    assert!(said.stderr.contains("b: multipass starts it"), "{}", said.stderr);
    fs::write(lab.path("stubborn"), "").unwrap();
    lab.done("down", &["--grace", "1", "--delete"]);
    let calls: Vec<String> =
        lab.calls().lines().filter(|call| !call.contains(" list ")).map(str::to_owned).collect();
    insta::assert_snapshot!(calls.join("\n"), @"
    multipass stop kiln-lab-a
    multipass stop kiln-lab-b
    multipass start --timeout 900 kiln-lab-b
    multipass stop kiln-lab-b
    multipass stop --force kiln-lab-b
    multipass delete --purge kiln-lab-a
    multipass delete --purge kiln-lab-b
    ");
    assert!(!lab.path("out/lab/run").exists());
}

#[test]
fn what_is_not_ours_or_not_possible_is_refused_before_anything_starts() {
    let lab = lab();
    fs::create_dir(lab.path("instances")).unwrap();
    fs::write(lab.path("instances/kiln-lab-a"), "Running").unwrap();
    let up = |words: &[&str]| {
        let said = lab.builder("up", &[&["--driver", "multipass", "--wait", "none"], words].concat());
        assert_eq!(said.code, 1, "{}", said.stderr);
        assert!(!lab.calls().contains("launch"), "{words:?}");
        said.stderr
    };
    let mut refusals = up(&[]);
    refusals += &up(&["--capture"]);
    refusals += &up(&["--firmware", "uefi"]);
    lab.describe('a', r#""seeds/x.iso""#);
    refusals += &up(&[]);
    insta::assert_snapshot!(refusals);
}

#[test]
fn a_launch_that_waits_in_vain_for_cloud_init_is_told_and_the_machine_used() {
    let lab = lab();
    fs::write(lab.path("slow"), "").unwrap();
    let said = lab.done("up", &["--driver", "multipass", "--node", "a", "--wait", "login"]);
    assert!(said.stderr.contains("timed out waiting for initialization"), "{}", said.stderr);
}

#[test]
fn an_instance_goes_on_after_another_build() {
    let lab = lab();
    lab.done("up", &["--driver", "multipass", "--wait", "none"]);
    lab.done("down", &[]);
    lab.describe('b', "null");
    let said = lab.done("up", &["--wait", "none"]);
    assert!(said.stderr.contains("a: its disk is of an older image; `"), "{}", said.stderr);
}

#[test]
fn a_host_without_multipass_is_told_how_to_get_it() {
    let said = Lab::new(&[]).builder("up", &["--driver", "multipass", "--wait", "none"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("this host has no `multipass`\n\nhint: install it"), "{}", said.stderr);
}
