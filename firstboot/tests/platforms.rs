//! What other programs and platforms write, a folder each: what of it is applied, what is ignored by its name, and what is refused by
//! what it is. The table of docs/reference/seeds.md is made of this. KILN_ACCEPT=1 writes it.

use std::fmt::Write;
use std::path::Path;

use crate::support::{Said, World};
use firstboot::seed::FILES;
use fs_err as fs;

/// What stands before the table in the document.
const MARK: &str = "<!-- made by firstboot/tests/platforms.rs -->\n\n";

#[test]
fn every_platforms_seed_is_applied_or_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> =
        fs::read_dir(folder.join("tests/platforms")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut rows = Vec::new();
    for path in paths {
        let about = fs::read_to_string(path.join("about")).unwrap();
        let (platform, what) = about.trim().split_once('\n').unwrap();
        let world = World::node_0();
        if let Ok(cards) = fs::read_to_string(path.join("cards")) {
            for (name, mac) in cards.lines().filter_map(|line| line.split_once(' ')) {
                world.card(name, mac, "1");
            }
        }
        let texts: Vec<(&str, String)> = FILES
            .iter()
            .filter_map(|file| Some((*file, fs::read_to_string(path.join(file)).ok()?)))
            .collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(file, text)| (*file, text.as_str())).collect();
        world.seed(&texts);
        rows.push(format!("| {platform} | {what} | {} |\n", outcome(&world.boot())));
    }
    rows.sort();
    let mut table = String::from("| who | writes | applied | ignored | refused |\n|---|---|---|---|---|\n");
    rows.iter().for_each(|row| table.push_str(row));
    let document = folder.join("../docs/reference/seeds.md");
    let text = fs::read_to_string(&document).unwrap();
    let (before, found) = text.split_once(MARK).unwrap();
    if std::env::var_os("KILN_ACCEPT").is_some() {
        fs::write(&document, format!("{before}{MARK}{table}")).unwrap();
    } else {
        assert_eq!(found, table, "KILN_ACCEPT=1 writes it");
    }
}

/// The last three columns.
fn outcome(said: &Said) -> String {
    assert!(
        !said.console.contains("unknown key") || said.console.contains("unknown key `kiln."),
        "{}",
        said.console
    );
    let cell = |text: &str| text.replace('|', "\\|");
    if said.failed {
        let first = said.lines().lines().next().unwrap_or_default().to_owned();
        return format!("| | {}", cell(&first));
    }
    let (mut applied, mut ignored) = (Vec::new(), Vec::new());
    for line in said.console.lines() {
        if let Some((_, key)) = line.split_once(": ignored, Kiln's images do nothing with it: NoCloud, ") {
            ignored.push(name(key));
        } else if let Some((_, origins)) = line.split_once(" (NoCloud, ") {
            applied.extend(
                origins
                    .trim_end_matches(')')
                    .split("; ")
                    .map(|origin| name(origin.trim_start_matches("NoCloud, "))),
            );
        }
    }
    applied.dedup();
    let list = |names: Vec<String>| cell(&names.join(", "));
    let mut text = String::new();
    write!(text, "{} | {} | ", list(applied), list(ignored)).unwrap();
    text
}

/// The key, without its file where it has one.
fn name(origin: &str) -> String {
    let key = origin.split_once(", ").map_or(origin, |(_, key)| key);
    if key.contains('`') { key.to_owned() } else { format!("`{key}`") }
}
