//! Commands for the host's QEMU.

use std::collections::BTreeMap;

use crate::driver::hardware::{Accelerator, Firmware};
use crate::driver::names::DATA_DISK;
use crate::driver::qemu::machine::machine;
use crate::driver::qemu::network::gateway;
use crate::driver::qemu::places::{DISK, GATEWAY, Places, SWITCH};
use crate::driver::qemu::{ports, vde};
use crate::driver::shell::{command, size};
use crate::ground::call::quote;
use crate::results::cluster::ClusterJson;
use crate::results::publish::image_path;

/// Where the machines' files go, relative to the results; not the driver's own folder.
const FOLDER: &str = "qemu";

pub(super) fn script(cluster: &ClusterJson) -> String {
    let places = Places { results: ".".to_owned(), run: FOLDER.to_owned() };
    let mut text = String::from(
        "# Run this in the folder of the images. QEMU 7.2 or newer with KVM; without KVM QEMU 10, because older ones\n\
         # emulate several processors wrongly. The switch is Debian's package vde-switch.\n",
    );
    text += "# The network between the nodes, and the host's side of it: a QEMU without a machine. They come first.\n";
    text += &format!("mkdir -p -m 700 {FOLDER}/{SWITCH} {FOLDER}/{GATEWAY}\n");
    text += &format!("printf '{}' > {FOLDER}/{SWITCH}/settings\n", vde::SETTINGS.replace('\n', "\\n"));
    let mut switch = vde::switch(&format!("{FOLDER}/{SWITCH}"));
    switch
        .extend(["--daemon", "--pidfile", &format!("$PWD/{FOLDER}/{SWITCH}/switch.pid")].map(str::to_owned));
    text += &format!("{}\n", switch.join(" "));
    // Every port counts as free: what is printed depends on the cluster alone.
    let ports = ports::choose(cluster, &BTreeMap::new(), |_| true).unwrap_or_default();
    text += &daemon(&gateway(cluster, &ports, &places, false), GATEWAY);
    for node in &cluster.nodes {
        let name = &node.name;
        text += &format!("\n# {name} ({}), {}", node.role, node.address());
        for (guest, host) in ports.get(name).into_iter().flatten() {
            text += &format!(", port {guest} at 127.0.0.1:{host}");
        }
        text += &format!("\nmkdir -p -m 700 {FOLDER}/{name}\n");
        // By its content: a disk that is there already lies over what it was made from, whatever is built meanwhile.
        let image =
            cluster.image_of(node).map(|image| image_path(&image.sha256, image.format)).unwrap_or_default();
        let image = quote(&format!("../../{}", image.display()));
        text += &format!(
            "[ -e {FOLDER}/{name}/{DISK} ] || qemu-img create -f qcow2 -F qcow2 -b {image} {FOLDER}/{name}/{DISK}{}\n",
            size(node)
        );
        if let Some(mib) = node.data_disk_mib {
            let data = format!("{FOLDER}/{name}/{DATA_DISK}");
            text += &format!("[ -e {data} ] || qemu-img create -f qcow2 {data} {mib}M\n");
        }
        text += &daemon(&machine(cluster.arch, node, Accelerator::Tcg, Firmware::Bios, &places), name);
    }
    text += &format!(
        "\n# The consoles: tail -f {FOLDER}/*/serial.log. The end, once the nodes are shut\n# down: kill $(cat {FOLDER}/{GATEWAY}/qemu.pid {FOLDER}/{SWITCH}/switch.pid)\n"
    );
    text
}

/// A QEMU in the background.
fn daemon(argv: &[String], folder: &str) -> String {
    let mut options: Vec<(&str, String)> = Vec::new();
    for word in argv.get(1..).unwrap_or_default() {
        match options.last_mut() {
            Some((_, value)) if !word.starts_with('-') => value.clone_from(word),
            _ => options.push((word, String::new())),
        }
    }
    for (option, value) in &mut options {
        if *option == "-accel" {
            // The first that works is taken.
            "kvm".clone_into(value);
        }
    }
    if let Some(index) = options.iter().position(|(option, _)| *option == "-accel") {
        options.insert(index + 1, ("-accel", "tcg,thread=multi".to_owned()));
    }
    options.push(("-display", "none".to_owned()));
    options.push(("-daemonize", String::new()));
    options.push(("-pidfile", format!("{FOLDER}/{folder}/qemu.pid")));
    command(&["qemu-system-x86_64"], &options)
}
