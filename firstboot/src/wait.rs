//! Looks at the sources and the cards until nothing is missing that may still come: the kernel shows a card or a disk a
//! moment after it has found the machine. It owns what is waited for and how long, and nothing of what is found.

use std::thread;
use std::time::{Duration, Instant};

use crate::card::Card;
use crate::cloud;
use crate::console::Console;
use crate::error::Error;
use crate::image::Image;
use crate::machine::Machine;
use crate::record::{Record, State};
use crate::schema::Node;
use crate::settings::{Settings, Sourced};
use crate::source::nocloud::KEPT_FILE;
use crate::source::{self, table};

/// How often it looks again.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for what may never come: a disk that is announced to a machine with an earlier seed, since most take
/// the disk away for good, and the driver of a drive, and the names of cards.
const AGAIN: Duration = Duration::from_secs(5);

/// How long no other card has to come before those that are there are taken for all.
const QUIET: Duration = Duration::from_secs(1);

/// What was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// What the sources say.
    pub settings: Settings,
    /// The Ethernet cards.
    pub cards: Vec<Card>,
    /// The node that this machine is, if anything says so.
    pub node: Option<Sourced<&'a Node>>,
    /// Whether a drive for CD-ROMs has no driver yet.
    pub drive: bool,
    /// Whether a cloud's metadata server is to be asked first, which needs the network.
    pub waits_for_metadata: bool,
    /// Whether the node's own card may still come: another one came a moment ago.
    pub unsure: bool,
    /// Whether a source means a card by its name, and udev is not done with these.
    pub naming: bool,
}

/// Looks, and waits up to `longest` for what is missing. `partition` is whether the identity partition has something.
///
/// # Errors
/// A source is wrong, or the machine cannot be read.
pub fn look<'a>(
    machine: &Machine,
    image: &'a Image,
    before: Option<&Record>,
    partition: bool,
    longest: Duration,
    console: &mut Console<'_>,
) -> Result<Found<'a>, Error> {
    #[expect(clippy::disallowed_methods, reason = "a time-out, in no output")]
    let start = Instant::now();
    let identity = partition || before.is_some_and(|record| record.identity.state != State::None);
    let mut said = false;
    let mut last = (Vec::new(), Duration::ZERO);
    loop {
        let settings = source::read_all(machine)?;
        let cards = machine.cards().map_err(Error::Machine)?;
        let node = table::pick(&image.cluster, &settings, &cards)?;
        let waits_for_metadata = cloud::asked(image, &settings).is_some() && !cloud::is_known(&settings);
        let drive = machine.has_drive_without_driver();
        if cards != last.0 {
            last = (cards.clone(), start.elapsed());
        }
        let known = node.as_ref().is_some_and(|node| knows_card(node.value, before, &cards));
        let unsure = !known && start.elapsed() < last.1 + QUIET;
        let by_name = settings.interfaces.iter().any(|card| card.value.selector.name.is_some());
        let naming = by_name && machine.is_naming(&cards);
        let found = Found { settings, cards, node, waits_for_metadata, drive, unsure, naming };
        let Some((missing, limit)) = found.missing(identity, longest) else { return Ok(found) };
        if start.elapsed() >= limit {
            if said {
                console.say("it did not come");
            }
            return Ok(found);
        }
        if !said {
            console.say(&format!("waiting up to {} s for {missing}", limit.as_secs()));
            said = true;
        }
        thread::sleep(PAUSE);
    }
}

impl Found<'_> {
    /// What may still come, and how long that is worth waiting for.
    fn missing(&self, identity: bool, longest: Duration) -> Option<(String, Duration)> {
        if self.waits_for_metadata {
            return None;
        }
        let needed = self.needed(identity, longest);
        if self.drive {
            // What is needed may be in it. Where nothing is, it may still hold something else.
            let limit = needed.map_or(longest.min(AGAIN), |(_, limit)| limit);
            return Some(("the driver of a CD-ROM drive".to_owned(), limit));
        }
        needed
    }

    /// What the machine cannot be its node without, or what was announced to it.
    fn needed(&self, identity: bool, longest: Duration) -> Option<(String, Duration)> {
        let disk = self.settings.disk;
        if let Some(by) = self.settings.announced.as_ref().filter(|_| !disk) {
            let limit = if self.settings.kept.iter().any(|(path, _)| *path == KEPT_FILE) {
                longest.min(AGAIN)
            } else {
                longest
            };
            return Some((format!("the NoCloud disk that is announced by {by}"), limit));
        }
        match &self.node {
            None => {
                Some(("a network card or a NoCloud disk that says which node this is".to_owned(), longest))
            }
            // A node that was picked by its name needs a card too.
            Some(_) if self.cards.is_empty() => Some(("a network card".to_owned(), longest)),
            Some(node) if !identity && !disk => {
                Some((format!("a NoCloud disk with the identity of {}", node.value.name), longest))
            }
            // More may come, and the first one to come is not the better one.
            Some(node) if self.unsure => {
                let Node { name, mac, .. } = node.value;
                Some((format!("the network card {mac} of {name}, while others come"), longest))
            }
            Some(_) if self.naming => Some(("the names of the network cards".to_owned(), longest.min(AGAIN))),
            Some(_) => None,
        }
    }
}

/// Whether the node's card is there: that of the table, or that of an earlier boot.
fn knows_card(node: &Node, before: Option<&Record>, cards: &[Card]) -> bool {
    let earlier = before.filter(|record| record.node == node.name).and_then(Record::card);
    cards.iter().any(|card| card.mac == node.mac || Some(card.mac) == earlier)
}
