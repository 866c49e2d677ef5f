//! What firstboot observes of the machine, read-only: its network cards and the partition with the identities. Both
//! come from the kernel's own tree, so that nothing has to wait for udev. It does not judge what it sees.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use ipnet::Ipv4Net;
use nix::sys::stat::{major, minor};

use crate::args::Args;
use crate::card::Card;
use crate::schema::Mac;
use crate::settings::Settings;

/// Name of the partition in the partition table.
pub const IDENTITY_PARTITION: &str = "kiln-identity";

/// `ARPHRD_ETHER` of the kernel's `if_arp.h`, as `/sys/class/net/*/type` shows it.
const ETHERNET: &str = "1";

/// `TYPE_ROM` of the kernel's `scsi_proto.h`, as `/sys/bus/scsi/devices/*/type` shows it.
const SCSI_CDROM: &str = "5";

/// What block devices are called that are made of memory or of others, and floppy drives: opening one without a disk
/// takes seconds.
const NO_DISKS: [&str; 5] = ["fd", "loop", "nbd", "ram", "zram"];

/// What udev's record of a card has while the card may get another name.
const NAMING: [&str; 2] = ["E:ID_RENAMING=1", "E:ID_PROCESSING=1"];

/// The machine seen through directories and files that tests can make up.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Directory of the running system.
    pub root: PathBuf,
    /// File with the kernel command line.
    pub cmdline: PathBuf,
    /// The kernel's device tree.
    pub sys: PathBuf,
    /// Folder with the device files.
    pub dev: PathBuf,
    /// The kernel's table of IPv4 routes.
    pub routes: PathBuf,
    /// Folder with the service's credentials, when there are any.
    pub credentials: Option<PathBuf>,
    /// What a cloud's metadata server said at this boot.
    pub metadata: Option<Settings>,
    identity: Option<PathBuf>,
}

/// More than one partition could hold the identities, and none is on the disk of the root file system.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The kernel's tree cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// There are several partitions of the name.
    #[error("partitions {0} are all called {IDENTITY_PARTITION}; detach the disks that are not this node's")]
    Ambiguous(String),
}

impl Machine {
    /// The machine at the places that the arguments name.
    pub fn new(args: &Args) -> Self {
        Self {
            root: args.root.clone(),
            cmdline: args.cmdline.clone(),
            sys: args.sys.clone(),
            dev: args.dev.clone(),
            credentials: args.credentials.clone(),
            routes: args.routes.clone(),
            metadata: None,
            identity: args.identity.clone(),
        }
    }

    /// The Ethernet cards, sorted by name; physical ones only where there are any, so that neither a bridge nor a
    /// pod's interface counts when firstboot runs again on a working node.
    ///
    /// # Errors
    /// The kernel's tree is there and cannot be read.
    pub fn cards(&self) -> io::Result<Vec<Card>> {
        let net = self.sys.join("class/net");
        let mut cards = Vec::new();
        for name in names(&net)? {
            let dir = net.join(&name);
            // A card may vanish between listing and reading: it is not there then.
            let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default();
            let Ok(mac) = read("address").parse::<Mac>() else { continue };
            if name != "lo" && read("type").trim() == ETHERNET && mac != Mac([0; 6]) {
                cards.push((dir.join("device").exists(), Card { name, mac }));
            }
        }
        let any_physical = cards.iter().any(|(physical, _)| *physical);
        cards.retain(|(physical, _)| *physical || !any_physical);
        Ok(cards.into_iter().map(|(_, card)| card).collect())
    }

    /// Whether udev may still give one of these cards another name. Nobody does where there is no udev.
    pub fn is_naming(&self, cards: &[Card]) -> bool {
        let udev = self.root.join("run/udev");
        let is_named = |card: &Card| {
            // A card that is called something else by now has no number here, and is looked at again.
            let index = self.sys.join("class/net").join(&card.name).join("ifindex");
            let index = fs::read_to_string(index).unwrap_or_default();
            let known = fs::read_to_string(udev.join(format!("data/n{}", index.trim())));
            known.is_ok_and(|known| !NAMING.iter().any(|word| known.contains(word)))
        };
        udev.join("control").exists() && !cards.iter().all(is_named)
    }

    /// The device with the identities: the one that the arguments name, else the partition of that name. With
    /// several (another node's disk is attached), it is the one on the disk of the root file system.
    ///
    /// # Errors
    /// It is not clear which partition is this node's.
    pub fn identity_device(&self) -> Result<Option<PathBuf>, DeviceError> {
        if let Some(device) = &self.identity {
            return Ok(Some(device.clone()));
        }
        let block = self.sys.join("class/block");
        let mut found = Vec::new();
        for name in names(&block)? {
            let uevent = fs::read_to_string(block.join(&name).join("uevent")).unwrap_or_default();
            if uevent.lines().any(|line| line.strip_prefix("PARTNAME=") == Some(IDENTITY_PARTITION)) {
                found.push(name);
            }
        }
        if found.len() > 1 {
            let home = self.disk_of_root();
            let here = |name: &String| home.is_some() && disk(&block.join(name)) == home;
            let on_it: Vec<_> = found.iter().filter(|name| here(name)).cloned().collect();
            if on_it.len() != 1 {
                return Err(DeviceError::Ambiguous(found.join(", ")));
            }
            found = on_it;
        }
        Ok(found.first().map(|name| self.dev.join(name)))
    }

    /// The routes that lead to another host: where to, and by way of whom.
    ///
    /// # Errors
    /// The kernel's table cannot be read.
    pub fn routes(&self) -> io::Result<BTreeSet<(Ipv4Net, Ipv4Addr)>> {
        let address = |text: &str| Some(Ipv4Addr::from(u32::from_str_radix(text, 16).ok()?.to_le_bytes()));
        let route = |line: &str| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [_, to, via, _, _, _, _, mask, ..] = fields[..] else { return None };
            Some((Ipv4Net::with_netmask(address(to)?, address(mask)?).ok()?, address(via)?))
        };
        let mut routes = BTreeSet::new();
        routes.extend(fs::read_to_string(&self.routes)?.lines().filter_map(route));
        Ok(routes)
    }

    /// The names and files of the disks and partitions that may hold a seed, sorted by name.
    ///
    /// # Errors
    /// The kernel's tree is there and cannot be read.
    pub fn block_devices(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let names = names(&self.sys.join("class/block"))?.into_iter();
        let names = names.filter(|name| !NO_DISKS.iter().any(|kind| name.starts_with(kind)));
        Ok(names.map(|name| (name.clone(), self.dev.join(name))).collect())
    }

    /// Whether there is a drive for CD-ROMs whose driver is still to come: nobody can tell whether a disk is in it.
    pub fn has_drive_without_driver(&self) -> bool {
        let devices = self.sys.join("bus/scsi/devices");
        let is_waiting = |name: &String| {
            let device = devices.join(name);
            let kind = fs::read_to_string(device.join("type")).unwrap_or_default();
            kind.trim() == SCSI_CDROM && !device.join("block").exists()
        };
        names(&devices).unwrap_or_default().iter().any(is_waiting)
    }

    /// The disk that the root file system lies on, as a folder of the kernel's tree.
    fn disk_of_root(&self) -> Option<PathBuf> {
        let device = fs::metadata(&self.root).ok()?.dev();
        disk(&self.sys.join(format!("dev/block/{}:{}", major(device), minor(device))))
    }
}

/// The folder above a partition's own, which is its disk's: `…/block/vda/vda3` → `…/block/vda`.
fn disk(partition: &Path) -> Option<PathBuf> {
    fs::canonicalize(partition).ok()?.parent().map(Path::to_owned)
}

/// The names in a folder, sorted; none when there is no such folder.
///
/// # Errors
/// The kernel's, with the path.
pub fn names(dir: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
