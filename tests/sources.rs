//! A real machine that the node table does not know learns who it is: from the kernel's command line, from the
//! firmware, from QEMU, from NoCloud disks as cloud-localds and multipass lay them out, and from the metadata servers of
//! clouds.

#![expect(clippy::disallowed_methods, reason = "genisoimage is the host's, as for multipass")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use builder::plan::QEMU;
use builder::sandbox::Sandbox;
use fs_err as fs;
use support::{PROFILE, build, debugfs, fresh, raw, root, run, text, tools};

/// Turns the machine off as soon as firstboot has done its work.
const END: &str = "[Service]\nExecStartPost=/usr/bin/systemctl poweroff --force --force\n";

/// A way to tell a machine that it is node-1.
struct Way {
    name: &'static str,
    /// More options of QEMU.
    options: Vec<String>,
    /// What the record names as the origin of the host name.
    origin: &'static str,
    /// The network that the machine is in, as a user network of QEMU.
    network: String,
    /// The unit that makes it its node.
    unit: &'static str,
}

impl Way {
    fn new(name: &'static str, options: Vec<String>, origin: &'static str) -> Self {
        Self { name, options, origin, network: String::new(), unit: "kiln-firstboot" }
    }

    /// By the metadata server of a cloud. Its address has to be in QEMU's network, which is half of all addresses.
    fn cloud(cloud: &'static str, origin: &'static str) -> Self {
        let options = words(&["-smbios", &format!("type=11,value=kiln.metadata={cloud}")]);
        let network = format!(
            ",net=128.0.0.0/128.0.0.0,host=192.168.122.1,dhcpstart=192.168.122.99,\
             guestfwd=tcp:169.254.169.254:80-cmd:sh /kiln/lab/metadata.sh {cloud}"
        );
        Self { name: cloud, options, origin, network, unit: "kiln-firstboot-net" }
    }
}

#[test]
fn each_source_makes_an_unknown_machine_its_node() {
    let lab = Lab::build();
    let way = Way::new;
    let smbios = |value: &str| words(&["-smbios", value]);
    let credential = "type=11,value=io.systemd.credential:kiln.node=node-1";
    let seed = "#cloud-config\nkiln:\n  node: node-1\n";
    let ways = [
        way("command-line", lab.kernel("kiln.node=node-1"), "node table, by kernel command line, kiln.node"),
        way("oem-string", smbios("type=11,value=kiln.node=node-1"), "node table, by SMBIOS, kiln.node"),
        way("serial-number", smbios("type=1,serial=kiln.node=node-1"), "node table, by SMBIOS, kiln.node"),
        way(
            "fw-cfg",
            words(&["-fw_cfg", "name=opt/kiln/node,string=node-1"]),
            "node table, by QEMU fw_cfg, opt/kiln/node",
        ),
        way("credential", smbios(credential), "node table, by systemd credentials, kiln.node"),
        way("nocloud", lab.disk("cidata", seed), "node table, by NoCloud, user-data"),
        way("multipass", lab.multipass(), "NoCloud, meta-data, local-hostname)"),
        Way::cloud("ec2", "ec2 metadata, meta-data, local-hostname)"),
        Way::cloud("gce", "gce metadata, meta-data, local-hostname)"),
    ];
    // Two cores: two machines at once.
    for pair in ways.chunks(2) {
        std::thread::scope(|scope| {
            for way in pair {
                scope.spawn(|| lab.expect(way));
            }
        });
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The worker's image, the pinned QEMU, and a folder that both see as /kiln/lab.
struct Lab {
    folder: PathBuf,
    qemu: Sandbox,
    tools: Sandbox,
}

impl Lab {
    fn build() -> Self {
        let folder = fresh("sources");
        build(&folder);
        let qemu = root(QEMU).lend(&folder, "/kiln/lab").env("TMPDIR", "/kiln/lab");
        let tools = tools().lend(&folder, "/kiln/lab");
        fs::copy(support::project().join("tests/sources/metadata.sh"), folder.join("metadata.sh")).unwrap();
        Self { folder, qemu, tools }
    }

    /// Options that start the image's own kernel with its own command line and one word more.
    fn kernel(&self, word: &str) -> Vec<String> {
        let raw = raw(&self.tools, &self.folder.join(PROFILE).join("worker.qcow2"), &self.folder);
        let menu = String::from_utf8(debugfs(&self.tools, &raw, "cat /boot/grub/grub.cfg")).unwrap();
        let line = |verb: &str| {
            let lines = menu.lines().find_map(|line| line.trim().strip_prefix(verb));
            lines.unwrap_or_else(|| panic!("no `{verb}` in {menu}")).trim().to_owned()
        };
        let (linux, initrd) = (line("linux "), line("initrd "));
        let (kernel, given) = linux.split_once(' ').unwrap();
        for (from, to) in [(kernel, "vmlinuz"), (initrd.as_str(), "initrd")] {
            fs::write(self.folder.join(to), debugfs(&self.tools, &raw, &format!("cat {from}"))).unwrap();
        }
        fs::remove_file(raw).unwrap();
        let append = format!("{given} {word}");
        words(&["-kernel", "/kiln/lab/vmlinuz", "-initrd", "/kiln/lab/initrd", "-append", &append])
    }

    /// Options for a NoCloud disk: a FAT file system, whose label is in capitals as DOS wants it.
    fn disk(&self, name: &str, user_data: &str) -> Vec<String> {
        let image = format!("/kiln/lab/{name}.img");
        for (file, text) in [("meta-data", "instance-id: lab\n"), ("user-data", user_data)] {
            fs::write(self.folder.join(file), text).unwrap();
        }
        self.tools.run(["mkfs.fat", "-C", "-n", "CIDATA", &image, "1024"]).unwrap();
        self.tools.run(["mcopy", "-i", &image, "/kiln/lab/meta-data", "/kiln/lab/user-data", "::/"]).unwrap();
        words(&["-drive", &format!("if=virtio,format=raw,readonly=on,file={image}")])
    }

    /// Options for a CD-ROM as multipass makes it: the long names are in Joliet's directory only.
    fn multipass(&self) -> Vec<String> {
        let files = support::project().join("tests/sources/multipass");
        let iso = self.folder.join("multipass.iso");
        let program = ["-quiet", "-joliet", "-volid", "cidata", "-output", text(&iso), text(&files)];
        run(Command::new("genisoimage").args(program));
        words(&["-cdrom", "/kiln/lab/multipass.iso"])
    }

    /// Boots a machine until firstboot has done its work; its console says what came from where.
    fn expect(&self, way: &Way) {
        let end = format!(
            "type=11,value=io.systemd.credential.binary:systemd.unit-dropin.{}.service={}",
            way.unit,
            STANDARD.encode(END)
        );
        let drive = format!("if=virtio,format=qcow2,snapshot=on,file=/kiln/lab/{PROFILE}/worker.qcow2");
        let mut argv: Vec<&str> = "timeout 300 qemu-system-x86_64 -machine q35 -accel tcg,thread=multi \
            -cpu max,la57=off,svm=off -m 1024 -nodefaults -no-user-config -display none -serial stdio -no-reboot \
            -device virtio-net-pci,netdev=net,mac=52:54:00:00:00:01,romfile="
            .split_whitespace()
            .collect();
        let network = format!("user,id=net,restrict=on,ipv6=off{}", way.network);
        argv.extend(["-netdev", &network, "-drive", &drive, "-smbios", &end]);
        argv.extend(way.options.iter().map(String::as_str));
        let mut qemu = self.qemu.clone();
        if !way.network.is_empty() {
            // QEMU talks to the metadata server over the loopback.
            qemu = qemu.share_network();
        }
        let console = qemu.run(&argv).unwrap();
        let console = String::from_utf8_lossy(&console);
        fs::write(self.folder.join(format!("{}.log", way.name)), console.as_bytes()).unwrap();
        for line in [
            format!("firstboot: node-1: hostname node-1 ({}", way.origin),
            "firstboot: node-1: address 192.168.122.12/24".to_owned(),
            "firstboot: node-1: identity ".to_owned(),
            "firstboot: node-1: applied ".to_owned(),
        ] {
            let said: Vec<&str> = console.lines().filter(|line| line.contains("firstboot: ")).collect();
            assert!(console.contains(&line), "{}: no `{line}` on the console: {said:#?}", way.name);
        }
    }
}
