//! A cloud's metadata in a run: the first boot only brings the network up, and the run after it asks the server. Anybody in the
//! node's network can answer in the server's place, so later boots ask only where the machine itself says that it is in that
//! cloud. It does not own what the server says.

use std::io;

use fs_err as fs;

use crate::apply::{Change, apply, remove};
use crate::args::Args;
use crate::console::Console;
use crate::error::Error;
use crate::header::HEADER;
use crate::image::Image;
use crate::machine::Machine;
use crate::ops::Ops;
use crate::plan::public;
use crate::schema::Cloud;
use crate::settings::Settings;
use crate::source::metadata;

/// Any Ethernet card asks for an address, until the node's own file is there. Relative to the root, of this boot only.
const NETWORK_FILE: &str = "run/systemd/network/80-kiln-metadata.network";
/// Says to `kiln-firstboot-net.service` that there is something to ask.
const ASKED_FILE: &str = "run/kiln/metadata";

/// The cloud whose server is to be asked: that of a source, else that of the image.
pub fn asked(image: &Image, settings: &Settings) -> Option<Cloud> {
    settings.metadata.as_ref().map(|cloud| cloud.value).or(image.cluster.metadata)
}

/// Whether the machine's firmware says that it runs in a cloud
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html>,
/// <https://cloud.google.com/compute/docs/instances/detect-compute-engine>).
pub fn is_here(cloud: Cloud, machine: &Machine) -> bool {
    let (file, name) = match cloud {
        Cloud::Ec2 => ("sys_vendor", "Amazon EC2"),
        Cloud::Gce => ("product_name", "Google Compute Engine"),
    };
    let said = fs::read_to_string(machine.sys.join("class/dmi/id").join(file));
    said.is_ok_and(|said| said.trim_end() == name)
}

/// Whether an earlier boot has kept what the server said.
pub fn is_known(settings: &Settings) -> bool {
    settings.kept.iter().any(|(path, _)| *path == metadata::KEPT_FILE)
}

/// Asks the server. `None` when it is silent and `known` from an earlier boot.
///
/// # Errors
/// It is silent and nothing is known, or it says what cannot be used.
pub fn ask(
    cloud: Cloud,
    args: &Args,
    image: &Image,
    known: bool,
    console: &mut Console<'_>,
) -> Result<Option<Settings>, Error> {
    match metadata::fetch(cloud, args.metadata_server, args.wait, &image.cluster) {
        Ok(settings) => Ok(Some(settings)),
        Err(error) if known && error.is_silence() => {
            console.say(&format!("{error}; what it said at an earlier boot stays"));
            Ok(None)
        }
        Err(error) => Err(Error::Source(error.into())),
    }
}

/// Leaves word that the server is to be asked; where nothing is known yet, the network comes first, by DHCP.
///
/// # Errors
/// The files cannot be written.
pub fn leave_word(
    cloud: Cloud,
    args: &Args,
    image: &Image,
    network: bool,
    ops: &mut dyn Ops,
) -> Result<(), Error> {
    if args.dry_run {
        return Ok(());
    }
    let dhcp = format!("{HEADER}[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=ipv4\n");
    let files = [(ASKED_FILE, format!("{cloud}\n")), (NETWORK_FILE, dhcp)];
    let files = &files[..if network { 2 } else { 1 }];
    let actions: Vec<_> =
        files.iter().flat_map(|(path, text)| public(path, text.clone().into_bytes(), image.owner)).collect();
    let change = Change { actions: actions.iter().collect(), ..Change::default() };
    apply(&args.root, &change, ops).map_err(Error::Apply)?;
    Ok(())
}

/// Takes the passing network away once the node has its own.
///
/// # Errors
/// The kernel's, with the path.
pub fn end_passing_network(args: &Args, ops: &mut dyn Ops) -> io::Result<()> {
    remove(&args.root, &[&format!("/{NETWORK_FILE}")], ops)
}
