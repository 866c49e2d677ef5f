//! The whole of one run, a line per stage: sources → facts → plan → apply → record → wipe. Everything is read and
//! checked before anything is written. It owns what is said on the console and nothing of how things are done.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::apply::{Change, apply, wipe};
use crate::args::Args;
use crate::card::Card;
use crate::console::Console;
use crate::error::Error;
use crate::facts::{self, Facts};
use crate::image::Image;
use crate::machine::Machine;
use crate::ops::Ops;
use crate::plan::{Action, Plan, public};
use crate::record::{RECORD_FILE, Record, State, VERSION};
use crate::settings::Settings;
use crate::wait::{self, Found};
use crate::{cloud, identity, identity_origin};

/// What the console says of a key that is not applied.
const IGNORED: &str = "ignored, Kiln's images do nothing with it";

/// Configures the node, or prints the plan to `out`.
///
/// # Errors
/// A source is there and wrong, the image is wrong or the disk cannot be written.
pub fn run(
    args: &Args,
    ops: &mut dyn Ops,
    console: &mut Console<'_>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "only for the line that says how long it took")]
    let start = Instant::now();
    let mut machine = Machine::new(args);
    let image = Image::read(&args.root)?;
    let before = Record::read(&args.root)?;
    let device = machine.identity_device()?;
    let device = device.as_deref();
    let partition = identity::is_there(device)?;
    let wait = if args.metadata { Duration::ZERO } else { args.wait };
    let mut found = wait::look(&machine, &image, before.as_ref(), partition, wait, console)?;
    let first = found.waits_for_metadata;
    match (cloud::asked(&image, &found.settings), args.metadata) {
        (None, true) => return Ok(()),
        (Some(cloud), true) => {
            machine.metadata = cloud::ask(cloud, args, &image, !first, console)?;
            found = wait::look(&machine, &image, before.as_ref(), partition, wait, console)?;
        }
        (Some(cloud), false) if first || cloud::is_here(cloud, &machine) => {
            cloud::leave_word(cloud, args, &image, first, ops)?;
            if first {
                console.say(&format!("the {cloud} metadata come next, when the network is up"));
                return Ok(());
            }
        }
        (_, false) => {}
    }
    let Found { settings, cards, node, .. } = found;
    let Some(node) = node else { return no_node(&image, &settings, &cards, console) };
    let facts = Facts::resolve(&image.cluster, &image.role, &settings, &node, &cards)?;
    let name = facts.node_name.value.as_str();
    let found = identity_origin::find(settings.identity.as_ref(), device, before.as_ref(), name)?;
    let identity = found.identity.as_ref();
    if let Some(record) = before.as_ref().filter(|record| record.node != name)
        && record.identity.state != State::None
        && identity.is_none()
    {
        return Err(Error::OtherNode { before: record.node.clone(), now: name.to_owned() });
    }
    let plan = Plan::new(&image, &facts, identity)?;
    if args.dry_run {
        return out.write_all(plan.to_string().as_bytes()).map_err(Error::Apply);
    }
    // Who removed a file that keeps a source has it written again.
    let kept = facts.kept.iter().all(|(path, _)| args.root.join(path).exists());
    let done = before.as_ref().filter(|record| record.node == name && record.plan == plan.hash());
    if let Some(record) = done.filter(|_| identity.is_none() && kept) {
        if args.metadata {
            cloud::end_passing_network(args, ops).map_err(Error::Apply)?;
        }
        finish(&args.root, &image, record.clone(), device, ops)?;
        if record.identity.state == State::None {
            console.say(&format!("{name}: {}", found.describe(&record.identity, device)));
        }
        console.say(&format!("{name} is up to date"));
        return Ok(());
    }

    let values = facts.values();
    let taken = found.taken(files(&plan.identity), before.as_ref(), device);
    let mut lines: Vec<_> =
        settings.ignored.iter().map(|ignored| format!("{name}: {IGNORED}: {ignored}")).collect();
    lines.extend(
        values.iter().map(|value| format!("{name}: {} {} ({})", value.key, value.value, value.source)),
    );
    lines.push(format!("{name}: {}", found.describe(&taken, device)));
    console.say(&lines.join("\n"));
    let record = Record {
        version: VERSION,
        node: name.to_owned(),
        plan: plan.hash(),
        values,
        ignored: settings.ignored.clone(),
        files: files(&plan.values),
        identity: taken,
    };
    let begun = record.begun(before.as_ref(), identity.is_some());
    let change = Change {
        begun: recording(&image, &begun)?,
        actions: plan.values.iter().chain(&plan.identity).collect(),
        stale: record.stale(before.as_ref()),
        record: recording(&image, &record)?,
        hostname: args.root == Path::new("/"),
        passing: false,
    };
    let outcome = apply(&args.root, &change, ops).map_err(Error::Apply)?;
    if args.metadata {
        cloud::end_passing_network(args, ops).map_err(Error::Apply)?;
    }
    finish(&args.root, &image, record, device, ops)?;
    let took = start.elapsed().as_millis();
    let unchanged = outcome.unchanged;
    console.say(&format!("{name}: applied {} in {took} ms, {unchanged} unchanged", count(outcome.written)));
    Ok(())
}

/// Nothing says that this machine is a node: not an error, unless a source has values for one.
fn no_node(
    image: &Image,
    settings: &Settings,
    cards: &[Card],
    console: &mut Console<'_>,
) -> Result<(), Error> {
    if let Some(origin) = settings.first_origin() {
        return Err(Error::NoNode(origin.to_owned()));
    }
    let cluster = &image.cluster;
    let nodes = cluster.nodes.iter().filter(|node| node.role == image.role);
    let expected: Vec<_> = nodes.map(|node| format!("{} ({})", node.mac, node.name)).collect();
    console.say(&format!("this machine is no node of the cluster `{}`; nothing was changed", cluster.name));
    console.say(&format!("this machine has {}", facts::list_cards(cards)));
    console.say(&format!("the node table has {} with the role `{}`", expected.join(", "), image.role));
    console.say("give the machine one of these cards, or add `kiln.node=NAME` to the kernel command line");
    Ok(())
}

fn count(files: usize) -> String {
    format!("{files} file{}", if files == 1 { "" } else { "s" })
}

/// Wipes the partition after the identity was taken, also when a power cut came between.
fn finish(
    root: &Path,
    image: &Image,
    mut record: Record,
    device: Option<&Path>,
    ops: &mut dyn Ops,
) -> Result<(), Error> {
    if let (State::Wiping, Some(device)) = (record.identity.state, device) {
        wipe(device, ops).map_err(Error::Apply)?;
        record.identity.state = State::Wiped;
        // A boot that finds `wiping` and nothing to wipe writes this again.
        let change = Change { record: recording(image, &record)?, passing: true, ..Change::default() };
        apply(root, &change, ops).map_err(Error::Apply)?;
    }
    Ok(())
}

/// The record as a file.
fn recording(image: &Image, record: &Record) -> Result<Vec<Action>, Error> {
    Ok(public(RECORD_FILE, record.to_json()?, image.owner))
}

fn files(actions: &[Action]) -> Vec<String> {
    let path = |action: &Action| match action {
        Action::WriteFile { path, .. } => Some(format!("/{path}")),
        _ => None,
    };
    actions.iter().filter_map(path).collect()
}
