//! docs/hard-way.md: the chapters of the guide with what Kiln makes of each, from what `builder explain` knows.

use std::collections::BTreeSet;
use std::fmt::Write;

use builder::explain::guide::{GUIDE, STEPS, Step};
use builder::explain::{Entry, Kind, Thing};
use builder::plan::Plan;

const HEAD: &str = "\
# The hard way, done

[Kubernetes the hard way](https://github.com/kelseyhightower/kubernetes-the-hard-way) builds a cluster by hand, file by file, and is how to learn what
each is for. The profile `kthw` is that cluster, already built. This page goes through the guide's chapters and says what Kiln has made of each: what it
is, who reads it, what breaks without it, the commands that make it by hand, and those that show it on a running machine.

    builder build --profile kthw
    builder up --profile kthw
    builder ssh --profile kthw server

What stands below *on `server`* is typed in such a shell, on the machine of that name; `tests/hard_way.rs` types all of it, on a booted cluster. What stands
below *By hand* is how one would make the thing on a machine without Kiln: do not type it here, where it is done.

`builder explain NAME` says the same of any file, unit, certificate or flag, for every profile. This page is made from the same texts, the files
`explain.toml` beside what they explain, by `KILN_ACCEPT=1 cargo test --release -p builder --test integration explain`.
";

/// The page for a plan of the guide's profile.
pub fn page(plan: &Plan, things: &[Thing], steps: &[Step]) -> String {
    let mut text = HEAD.to_owned();
    for (number, step) in (1..).zip(steps) {
        let Step { title, page, kiln, see } = step;
        write!(text, "\n## {number}. {}\n\n{}\n", title, kiln.trim()).unwrap();
        writeln!(text, "[The guide's chapter]({GUIDE}/blob/master/docs/{page}).").unwrap();
        let here: Vec<&Thing> =
            things.iter().filter(|thing| step_of(things, thing) == Some(number)).collect();
        chapter(&mut text, plan, &here);
        for see in see {
            write!(text, "\n{}, on `{}`:\n\n{}", see.what, see.on, code(&see.commands)).unwrap();
        }
    }
    let rest: Vec<&Thing> = things.iter().filter(|thing| step_of(things, thing).is_none()).collect();
    text += "\n## Besides the guide\n\nWhat a machine has that the guide leaves to the system, or does without.\n";
    chapter(&mut text, plan, &rest);
    text
}

/// The chapter of a thing; that of a flag is its unit's.
fn step_of(things: &[Thing], thing: &Thing) -> Option<usize> {
    let unit = match (thing.kind, thing.name.split_once(':')) {
        (Kind::Flag, Some((program, _))) => {
            let unit = format!("{program}.service");
            things.iter().find(|thing| thing.kind == Kind::Unit && thing.name == unit)?
        }
        _ => thing,
    };
    let step = entry(unit).step;
    assert!(step.is_none_or(|step| step <= STEPS));
    step
}

fn entry(thing: &Thing) -> &Entry {
    &thing.explanation.as_ref().unwrap_or_else(|| panic!("{} is not explained", thing.name)).entry
}

/// Certificates, units and files, and a table of the flags of each program.
fn chapter(text: &mut String, plan: &Plan, things: &[&Thing]) {
    for kind in [Kind::Certificate, Kind::Unit, Kind::File] {
        let of_kind: Vec<&Thing> = things.iter().copied().filter(|thing| thing.kind == kind).collect();
        // Those of one explanation stand together.
        let mut told = BTreeSet::new();
        for thing in &of_kind {
            let what = entry(thing).what.as_str();
            if told.insert(what) {
                let alike: Vec<&Thing> =
                    of_kind.iter().copied().filter(|thing| entry(thing).what == what).collect();
                paragraph(text, plan, &alike);
            }
        }
    }
    let programs: BTreeSet<&str> = flags(things).map(|(program, ..)| program).collect();
    for program in programs {
        write!(
            text,
            "\n### Flags of `{program}`\n\n| flag | set to | what | without it |\n|---|---|---|---|\n"
        )
        .unwrap();
        let mut commands = Vec::new();
        let mut node = None;
        for (_, name, thing) in flags(things).filter(|(of, ..)| *of == program) {
            let Entry { what, without, see, .. } = entry(thing);
            let values: BTreeSet<String> = thing
                .origins
                .iter()
                .filter_map(|origin| Some(format!("`{}`", origin.value.as_ref()?)))
                .collect();
            let values = values.into_iter().collect::<Vec<_>>().join(", ");
            writeln!(text, "| `{name}` | {values} | {what} | {without} |").unwrap();
            commands.extend(see.iter().filter(|command| !commands.contains(command)).collect::<Vec<_>>());
            node = thing.machine(plan).filter(|_| !see.is_empty()).or(node);
        }
        if let Some(node) = node {
            write!(text, "\nWhat they do, on `{}`:\n\n{}", node.name, code(&commands)).unwrap();
        }
    }
}

/// Program, name and thing of each flag.
fn flags<'a>(things: &'a [&'a Thing]) -> impl Iterator<Item = (&'a str, &'a str, &'a Thing)> {
    let flags = things.iter().filter(|thing| thing.kind == Kind::Flag);
    flags.filter_map(|thing| thing.name.split_once(':').map(|(program, name)| (program, name, *thing)))
}

/// What is said of things that have one explanation.
fn paragraph(text: &mut String, plan: &Plan, things: &[&Thing]) {
    let Entry { what, by_hand, read_by, without, see, at_boot, .. } = entry(things[0]);
    let names: Vec<String> = things.iter().map(|thing| format!("`{}`", thing.name)).collect();
    let kind = match (things[0].kind, names.len()) {
        (Kind::Certificate, 1) => "Certificate ",
        (Kind::Certificate, _) => "Certificates ",
        _ => "",
    };
    write!(text, "\n**{kind}{}**\n{what}.\n", names.join(", ")).unwrap();
    if let Some(writer) = at_boot {
        writeln!(text, "No image has it: {writer} writes it when the machine boots.").unwrap();
    }
    if let Some(reader) = read_by {
        writeln!(text, "Read by {reader}.").unwrap();
    }
    writeln!(text, "*Without it:* {without}").unwrap();
    if let Some(commands) = by_hand {
        let lines: Vec<String> = commands.trim().lines().map(str::to_owned).collect();
        write!(text, "\nBy hand:\n\n{}", code(&lines)).unwrap();
    }
    if let Some(node) = things[0].machine(plan).filter(|_| !see.is_empty()) {
        write!(text, "\nSee it, on `{}`:\n\n{}", node.name, code(see)).unwrap();
    }
}

fn code(lines: &[impl AsRef<str>]) -> String {
    lines.iter().map(|line| format!("    {}\n", line.as_ref().trim_end())).collect()
}
