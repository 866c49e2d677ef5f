//! VLANs and bonds, whichever version of network-config has them: what makes them, and what they are made of.

use crate::seed::card::id;
use crate::seed::error::SeedError;
use crate::seed::reader::At;
use crate::settings::Settings;
use crate::settings::interface::{Interface, Made};

/// The most letters of a device's name (the kernel's `IFNAMSIZ`).
const LONGEST_NAME: usize = 15;

/// The modes of a bond by their numbers
/// (<https://www.kernel.org/doc/html/latest/networking/bonding.html>).
const MODES: [&str; 7] =
    ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

const HASHES: &[&str] = &["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"];

/// Parameters of a bond but its mode: names in versions 2 and 1, that of systemd.netdev(5), and the words that it may be.
/// Without words it is a number of cards, or of milliseconds where the name says seconds.
const PARAMETERS: [(&str, &str, &str, &[&str]); 9] = [
    ("ad-select", "bond-ad-select", "AdSelect", &["stable", "bandwidth", "count"]),
    ("down-delay", "bond-downdelay", "DownDelaySec", &[]),
    ("fail-over-mac-policy", "bond-fail-over-mac", "FailOverMACPolicy", &["none", "active", "follow"]),
    ("lacp-rate", "bond-lacp-rate", "LACPTransmitRate", &["slow", "fast"]),
    ("mii-monitor-interval", "bond-miimon", "MIIMonitorSec", &[]),
    ("min-links", "bond-min-links", "MinLinks", &[]),
    (
        "primary-reselect-policy",
        "bond-primary-reselect",
        "PrimaryReselectPolicy",
        &["always", "better", "failure"],
    ),
    ("transmit-hash-policy", "bond-xmit-hash-policy", "TransmitHashPolicy", HASHES),
    ("up-delay", "bond-updelay", "UpDelaySec", &[]),
];

/// A name that the kernel gives a new device.
pub fn name(name: &str, at: &At<'_>) -> Result<String, SeedError> {
    let name = id(name, at)?;
    if name.len() > LONGEST_NAME {
        return Err(at.error(format!("`{name}` has more than the {LONGEST_NAME} letters of a device's name")));
    }
    Ok(name)
}

/// A VLAN's number and the device that it lies on.
pub fn vlan(number: &At<'_>, link: &At<'_>) -> Result<Made, SeedError> {
    let expected = "a number from 1 to 4094";
    let vlan: u16 = number.parse(expected)?;
    if !(1..=4094).contains(&vlan) {
        return Err(number.wrong(expected));
    }
    Ok(Made::Vlan { id: vlan, link: id(link.text()?, link)? })
}

/// A bond of cards. Parameters that are not applied are added to `ignored`.
pub fn bond(
    cards: &At<'_>,
    parameters: Option<&At<'_>>,
    ignored: &mut Vec<String>,
) -> Result<Made, SeedError> {
    let members = cards.list()?.iter().map(|at| id(at.text()?, at)).collect::<Result<Vec<_>, _>>()?;
    if members.is_empty() {
        return Err(cards.wrong("the cards of the bond"));
    }
    let (mut mode, mut primary, mut options) = (MODES[0], None, Vec::new());
    for (key, at) in parameters.map(At::entries).transpose()?.unwrap_or_default() {
        // Version 1 has either line.
        let key = key.replace('_', "-");
        match key.as_str() {
            "mode" | "bond-mode" => {
                let text = at.text()?;
                let found = MODES
                    .iter()
                    .enumerate()
                    .find(|(number, mode)| text == **mode || text == number.to_string());
                mode = *found.ok_or_else(|| at.wrong(&format!("one of {}", MODES.join(", "))))?.1;
            }
            "primary" | "bond-primary" => primary = Some(id(at.text()?, &at)?),
            _ => match PARAMETERS.iter().find(|(two, one, ..)| [*two, *one].contains(&key.as_str())) {
                Some((.., name, words)) => options.push(format!("{name}={}", parameter(&at, name, words)?)),
                None => ignored.push(at.path.clone()),
            },
        }
    }
    if let Some(primary) = primary.as_ref().filter(|primary| !members.contains(primary)) {
        return Err(cards.error(format!("`{}`: `{primary}` is not among the cards of its bond", cards.path)));
    }
    options.insert(0, format!("Mode={mode}"));
    Ok(Made::Bond { cards: members, primary, options })
}

fn parameter(at: &At<'_>, name: &str, words: &[&str]) -> Result<String, SeedError> {
    let text = at.text()?;
    if !words.is_empty() {
        return match words.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(at.wrong(&format!("one of {}", words.join(", ")))),
        };
    }
    let number: u32 = text.trim_end_matches("ms").parse().map_err(|_| at.wrong("a number, like 100"))?;
    Ok(if name.ends_with("Sec") { format!("{number}ms") } else { number.to_string() })
}

/// Tells every device what is made of it: the VLANs that lie on it, the bond that it is in.
///
/// # Errors
/// A device is made of one that there is not, or of one that is in a bond already. `places` says where each interface stands.
pub fn connect(settings: &mut Settings, places: &[At<'_>]) -> Result<(), SeedError> {
    let devices: Vec<Interface> = settings.interfaces.iter().map(|device| device.value.clone()).collect();
    for (device, at) in devices.iter().zip(places) {
        let place = |name: &String| {
            let unknown =
                || at.error(format!("`{}`: it is made of `{name}`, which is not among the cards", at.path));
            devices.iter().position(|known| known.id == *name).ok_or_else(unknown)
        };
        match &device.made {
            Some(Made::Vlan { link, .. }) => {
                settings.interfaces[place(link)?].value.vlans.push(device.id.clone());
            }
            Some(Made::Bond { cards, primary, .. }) => {
                for name in cards {
                    let card = &mut settings.interfaces[place(name)?].value;
                    if card.made.is_some() || card.bond.is_some() {
                        let message = format!("`{}`: `{name}` is no card, or in another bond", at.path);
                        return Err(at.error(message));
                    }
                    card.bond = Some(device.id.clone());
                    card.primary = primary.as_ref() == Some(name);
                }
            }
            None => {}
        }
    }
    Ok(())
}
