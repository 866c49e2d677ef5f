//! `--driver libvirt`.

use fs_err as fs;

use super::{Lab, SSH};

fn lab() -> Lab {
    let virt_install = ("virt-install", include_str!("virt-install.sh"));
    Lab::new(&[("virsh", include_str!("virsh.sh")), virt_install, ("ssh", SSH)])
}

/// Without those that only look.
fn deeds(calls: &str) -> String {
    let looks = [" list ", " net-list ", " pool-list ", " vol-list "];
    let calls = calls.lines().filter(|call| !looks.iter().any(|look| call.contains(look)));
    calls.map(|call| call.replace(" --connect qemu:///system --quiet", "") + "\n").collect()
}

#[test]
fn domains_are_installed_reached_stopped_and_deleted() {
    let lab = lab();
    lab.done("up", &["--driver", "libvirt", "--wait", "login", "--timeout", "60"]);
    insta::assert_snapshot!(deeds(&lab.calls()));
    let network = fs::read_to_string(lab.path("out/lab/run/_libvirt/network.xml")).unwrap();
    assert!(network.contains("<ip address='10.9.8.254' netmask='255.255.255.0'/>"), "{network}");
    assert!(!network.contains("forward") && !network.contains("dhcp"), "{network}");

    insta::assert_snapshot!(lab.done("status", &[]).stdout);
    let kubeconfig = lab.done("kubeconfig", &[]).stdout;
    assert!(
        kubeconfig.contains("server: https://10.9.8.10:6443\n") && !kubeconfig.contains("tls-server-name")
    );
    let said = lab.done("ssh", &["b", "--", "uptime"]).stdout;
    assert!(said.ends_with(" -p 22 root@10.9.8.11 -- uptime\n"), "{said}");
    assert!(lab.done("logs", &["a"]).stdout.ends_with("a login: "));
    let said = lab.done("up", &["--wait", "none"]).stderr;
    assert!(said.contains("a: runs already") && said.contains("b: runs already"), "{said}");
    lab.calls();

    // One is started again: its disk stays, its image is there.
    lab.done("down", &["--node", "b"]);
    lab.done("up", &["--node", "b", "--wait", "none"]);
    insta::assert_snapshot!(deeds(&lab.calls()));
    fs::write(lab.path("stubborn"), "").unwrap();
    lab.done("down", &["--grace", "1", "--delete"]);
    insta::assert_snapshot!(deeds(&lab.calls()));
    for left in ["net", "pool", "vol", "domain"] {
        assert_eq!(fs::read_dir(lab.path(left)).unwrap().count(), 0, "{left}");
    }
    assert!(!lab.path("out/lab/run").exists());
}

#[test]
fn a_seed_is_attached_and_the_network_of_others_is_respected() {
    let lab = lab();
    fs::create_dir(lab.path("out/lab/seeds")).unwrap();
    fs::write(lab.path("out/lab/seeds/x.iso"), "seed").unwrap();
    lab.describe('a', r#""seeds/x.iso""#);
    fs::write(lab.path("clash"), "").unwrap();
    let said = lab.builder("up", &["--driver", "libvirt", "--wait", "none"]);
    assert_eq!(said.code, 2);
    insta::assert_snapshot!(said.stderr);
    fs::remove_file(lab.path("clash")).unwrap();
    lab.calls();
    lab.done("up", &["--driver", "libvirt", "--wait", "none", "--node", "b", "--firmware", "uefi"]);
    let calls = lab.calls();
    assert!(calls.contains(" --disk vol=kiln-lab/b.iso,device=cdrom --boot firmware=efi,"), "{calls}");
    assert_eq!(fs::read_to_string(lab.path("vol/b.iso")).unwrap(), "seed");
}

#[test]
fn a_domain_of_somebody_else_is_refused() {
    let lab = lab();
    fs::create_dir(lab.path("domain")).unwrap();
    fs::write(lab.path("domain/kiln-lab-a"), "").unwrap();
    let said = lab.builder("up", &["--driver", "libvirt", "--wait", "none"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("libvirt has a machine `kiln-lab-a`"), "{}", said.stderr);
    assert!(!lab.calls().contains("virt-install"));
    // What was made until then goes.
    lab.done("down", &["--delete"]);
    assert_eq!(fs::read_dir(lab.path("net")).unwrap().count(), 0);
    assert!(lab.path("domain/kiln-lab-a").exists());
}

#[test]
fn hardware_virtualisation_that_is_asked_for_and_not_there_is_refused() {
    let said = lab().builder("up", &["--driver", "libvirt", "--wait", "none", "--accel", "kvm"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("KVM is not supported"), "{}", said.stderr);
}
