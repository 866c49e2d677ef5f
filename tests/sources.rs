//! A real machine that the node table does not know learns who it is: from the kernel's command line, from the
//! firmware, from QEMU, from NoCloud disks as cloud-localds and multipass lay them out, and from the metadata servers of
//! clouds; also with a clock that is decades wrong. A value that is none is named.

#![expect(clippy::disallowed_methods, reason = "genisoimage is the host's, as for multipass")]

use std::path::PathBuf;
use std::process::Command;

use crate::support::{self, PROFILE, build, debugfs, fresh, long, raw, root, run, text, tools};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use builder::deb::roots::QEMU;
use builder::sandbox::Sandbox;
use fs_err as fs;

/// Turns the machine off as soon as firstboot has done its work or failed, with the year of its clock and of its image.
const END: &str = "[Service]\nExecStopPost=/usr/bin/systemctl poweroff --force --force\n\
    ExecStartPost=/bin/sh -c '{ date --utc \"+clock: %%Y\"; \
    date --utc --reference /usr/lib/clock-epoch \"+clock: %%Y\"; } >/dev/ttyS0'\n\
    ExecStartPost=/usr/bin/systemctl poweroff --force --force\n";

/// The same for a machine whose network is to be seen: all devices have a minute to be up.
const SHOW: &str = "[Service]\nTimeoutStartSec=120\n\
    ExecStartPost=/bin/bash -c '{ for try in {1..60}; do sleep 1; \
    [ $(ip -brief -4 address | grep -c \"UP.*10\\\\.[0-9]*\\\\.0\\\\.12\") = 3 ] && break; done; \
    ip -brief -4 address | while read -r name state address rest; do echo \"devices: $$name $$state $$address\"; done; \
    read -r mode number </sys/class/net/bond0/bonding/mode; \
    echo \"devices: $$mode $(wc -w </sys/class/net/bond0/bonding/slaves) cards\"; } >/dev/ttyS0'\n\
    ExecStartPost=/usr/bin/systemctl poweroff --force --force\n";

/// Two cards that are one for storage, and VLANs.
const DEVICES: &str = "version: 2
ethernets:
  own: {match: {macaddress: '52:54:00:00:00:01'}, addresses: [192.168.122.12/24]}
  one: {match: {macaddress: '52:54:00:00:01:01'}}
  two: {match: {macaddress: '52:54:00:00:01:02'}}
bonds:
  bond0:
    interfaces: [one, two]
    parameters: {mode: active-backup, primary: one, mii-monitor-interval: 100}
    addresses: [10.9.0.12/24]
vlans:
  storage: {id: 20, link: bond0, addresses: [10.20.0.12/24]}
  guests: {id: 30, link: own, addresses: [10.30.0.12/24]}
";

/// A machine whose clock has stopped long ago, and one whose clock is too far ahead for any certificate.
const CLOCKS: [&str; 2] = ["1970-01-01", "2099-01-01"];

/// A way to tell a machine which node it is.
struct Way {
    name: &'static str,
    /// More options of QEMU.
    options: Vec<String>,
    /// What its console says then.
    says: Vec<String>,
    /// The network that the machine is in, as a user network of QEMU.
    network: String,
    /// The unit that makes it its node, or what runs when that is seen.
    unit: &'static str,
    /// What turns it off.
    end: &'static str,
    /// Whether every run of the tests has it; else the long tier alone, and firstboot's own tests.
    always: bool,
}

impl Way {
    /// `origin` is what firstboot names as the origin of the host name.
    fn new(name: &'static str, options: Vec<String>, origin: &'static str) -> Self {
        let says =
            [&format!("hostname node-1 ({origin}"), "address 192.168.122.12/24", "identity ", "applied "];
        let says = says.map(|line| format!("firstboot: node-1: {line}")).to_vec();
        Self { name, options, says, network: String::new(), unit: "kiln-firstboot", end: END, always: false }
    }

    /// In every run of the tests, not in the long tier alone.
    fn always(self) -> Self {
        Self { always: true, ..self }
    }

    /// With a value that is none.
    fn wrong() -> Self {
        let options = words(&[
            "-smbios",
            "type=11,value=kiln.node=node-1",
            "-smbios",
            "type=11,value=kiln.pod-cidr=10.300.0.0/24",
        ]);
        let says = words(&[
            "firstboot: SMBIOS: `kiln.pod-cidr` is `10.300.0.0/24`; write a range of addresses",
            "firstboot: nothing was written; correct this and boot again",
        ]);
        Self { says, ..Self::new("wrong", options, "") }
    }

    /// With two cards that are one, and VLANs on that and on the cluster's card.
    fn devices(disk: Vec<String>) -> Self {
        let card = |number: u8| {
            let card = format!("virtio-net-pci,netdev=more{number},mac=52:54:00:00:01:0{number},romfile=");
            words(&["-netdev", &format!("user,id=more{number},restrict=on,ipv6=off"), "-device", &card])
        };
        let says = words(&[
            "firstboot: node-1: card bond0 bond of one, two with storage 10.9.0.12/24 (NoCloud, network-config, bonds.bond0)",
            "devices: bond0 UP 10.9.0.12/24",
            "devices: storage@bond0 UP 10.20.0.12/24",
            "UP 10.30.0.12/24",
            "devices: active-backup 2 cards",
        ]);
        let options = [disk, card(1), card(2)].concat();
        Self { says, unit: "systemd-user-sessions", end: SHOW, ..Self::new("devices", options, "") }
    }

    /// By the metadata server of a cloud. Its address has to be in QEMU's network, which is half of all addresses.
    fn cloud(cloud: &'static str, origin: &'static str) -> Self {
        let options = words(&["-smbios", &format!("type=11,value=kiln.metadata={cloud}")]);
        let network = format!(
            ",net=128.0.0.0/128.0.0.0,host=192.168.122.1,dhcpstart=192.168.122.99,\
             guestfwd=tcp:169.254.169.254:80-cmd:sh /kiln/lab/metadata.sh {cloud}"
        );
        Self { network, unit: "kiln-firstboot-net", ..Self::new(cloud, options, origin) }
    }
}

#[test]
fn each_source_makes_an_unknown_machine_its_node_and_a_wrong_value_none() {
    let lab = Lab::build();
    let way = Way::new;
    let smbios = |value: &str| words(&["-smbios", value]);
    let credential = "type=11,value=io.systemd.credential:kiln.node=node-1";
    let seed = "#cloud-config\nkiln:\n  node: node-1\n";
    let [stopped, ahead] = CLOCKS.map(|base| words(&["-rtc", &format!("base={base}")]));
    let ways = [
        way("command-line", lab.kernel("kiln.node=node-1"), "node table, by kernel command line, kiln.node"),
        way(
            "oem-string",
            [smbios("type=11,value=kiln.node=node-1"), stopped].concat(),
            "node table, by SMBIOS, kiln.node",
        )
        .always(),
        way(
            "serial-number",
            [smbios("type=1,serial=kiln.node=node-1"), ahead].concat(),
            "node table, by SMBIOS, kiln.node",
        ),
        way(
            "fw-cfg",
            words(&["-fw_cfg", "name=opt/kiln/node,string=node-1"]),
            "node table, by QEMU fw_cfg, opt/kiln/node",
        ),
        way("credential", smbios(credential), "node table, by systemd credentials, kiln.node"),
        way("nocloud", lab.disk("cidata", seed, ""), "node table, by NoCloud, user-data").always(),
        Way::devices(lab.disk("devices", seed, DEVICES)),
        way("multipass", lab.multipass(), "NoCloud, meta-data, local-hostname)"),
        Way::cloud("ec2", "ec2 metadata, meta-data, local-hostname)").always(),
        Way::cloud("gce", "gce metadata, meta-data, local-hostname)"),
        Way::wrong().always(),
    ];
    let ways: Vec<Way> = ways.into_iter().filter(|way| way.always || long()).collect();
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
    fn disk(&self, name: &str, user_data: &str, network_config: &str) -> Vec<String> {
        let image = format!("/kiln/lab/{name}.img");
        let meta_data = "instance-id: lab\n";
        let files = [("meta-data", meta_data), ("user-data", user_data), ("network-config", network_config)];
        for (file, text) in files {
            fs::write(self.folder.join(file), text).unwrap();
        }
        let files = files.map(|(file, _)| format!("/kiln/lab/{file}"));
        self.tools.run(["mkfs.fat", "-C", "-n", "CIDATA", &image, "1024"]).unwrap();
        let files = files.iter().map(String::as_str);
        self.tools.run(["mcopy", "-i", &image].into_iter().chain(files).chain(["::/"])).unwrap();
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

    /// Boots a machine; its console says what came from where.
    fn expect(&self, way: &Way) {
        let console = self.boot(way);
        for line in &way.says {
            let said: Vec<&str> = console.lines().filter(|line| line.contains("firstboot: ")).collect();
            assert!(console.contains(line), "{}: no `{line}` on the console: {said:#?}", way.name);
        }
        if way.options.iter().any(|option| option == "-rtc") {
            let years: Vec<&str> = console.lines().filter_map(|line| line.split("clock: ").nth(1)).collect();
            assert!(
                years.len() == 2 && years[0] == years[1],
                "{}: the clock and the image are of {years:?}",
                way.name
            );
        }
    }

    /// What the console of a machine said until firstboot was through.
    fn boot(&self, way: &Way) -> String {
        let end = format!(
            "type=11,value=io.systemd.credential.binary:systemd.unit-dropin.{}.service={}",
            way.unit,
            STANDARD.encode(way.end)
        );
        let drive = format!("if=virtio,format=qcow2,snapshot=on,file=/kiln/lab/{PROFILE}/worker.qcow2");
        let mut argv: Vec<&str> = "timeout 300 qemu-system-x86_64 -machine q35 -accel tcg,thread=multi \
            -cpu max,la57=off,svm=off,erms=off,fsrm=off -m 1024 -nodefaults -no-user-config -display none -serial stdio -no-reboot \
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
        let console = String::from_utf8_lossy(&qemu.run(&argv).unwrap()).into_owned();
        fs::write(self.folder.join(format!("{}.log", way.name)), &console).unwrap();
        console
    }
}
