//! Writing what the update found into the lockfile's text, leaving the rest, comments included, as it stands.
//!
//! It owns the layout of the parts that no person writes: sorted, one inline table or string a line. Writing a lock
//! into its own text changes nothing; `lock check` relies on that.

use std::collections::BTreeMap;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::ground::arch::Arch;
use crate::ground::hash::Sha256Hex;
use crate::lockfile::format::{Deb, Module, Source};
use crate::lockfile::{COMPONENTS, Lock};
use crate::role::packages;

/// The text with the lock's values in it.
///
/// # Errors
/// When the text is not TOML.
pub(super) fn write(text: &str, lock: &Lock) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let top = document.as_table_mut();
    put(&mut top["epoch"], lock.epoch.into());
    for (arch, hash) in &lock.firstboot {
        put(&mut top["firstboot"][&arch.to_string()], hash.to_string().into());
    }
    for (name, suite) in &lock.suite {
        put(&mut top["suite"][name]["snapshot"], suite.snapshot.clone().into());
    }
    if let Some(table) = top["root"].as_table_like_mut() {
        roots(table, lock);
    }
    for (name, source) in &lock.source {
        put(&mut top["source"][name]["version"], source.version.clone().into());
        put(&mut top["source"][name]["files"], lines(files(source)));
    }
    let table = top.entry("deb").or_insert_with(|| Item::Table(Table::new()));
    if let Some(table) = table.as_table_like_mut() {
        retain(table, |suite| lock.deb.contains_key(suite));
    }
    for (suite, debs) in &lock.deb {
        put(&mut table[suite], lines(debs.iter().map(|deb| deb_entry(deb).into())));
    }
    for (name, build) in &lock.build {
        let Some(go) = build.go() else { continue };
        if build.output.is_empty()
            && let Some(table) = document["build"][name].as_table_mut()
        {
            table.remove("output");
        }
        let table = &mut document["build"][name]["go"];
        put(&mut table["version"], go.version.clone().into());
        put(&mut table["released"], go.released.clone().into());
        let mut files = InlineTable::new();
        go.files.iter().for_each(|(file, hash)| drop(files.insert(file, hash.to_string().into())));
        put(&mut table["files"], files.into());
    }
    let top = document.as_table_mut();
    if lock.go.modules.is_empty() {
        top.remove("go");
    } else {
        let table = top.entry("go").or_insert_with(|| Item::Table(Table::new()));
        put(&mut table["modules"], lines(lock.go.modules.iter().map(|module| module_entry(module).into())));
    }
    Ok(document.to_string())
}

/// The roots that follow from recipes and releases: what each asks for, and those of recipes themselves.
fn roots(table: &mut dyn TableLike, lock: &Lock) {
    retain(table, |name| !packages::is_of_recipe(name) || lock.root.contains_key(name));
    let is_derived = |name: &str| packages::is_of_recipe(name) || name == COMPONENTS;
    for (name, root) in lock.root.iter().filter(|(name, _)| is_derived(name)) {
        if table.get(name).is_none() {
            let mut new = Table::new();
            new["suite"] = toml_edit::value(&root.suite);
            new["closure"] = toml_edit::value("depends");
            new["architectures"] =
                toml_edit::value(Array::from_iter(root.architectures.iter().map(Arch::to_string)));
            table.insert(name, Item::Table(new));
        }
        if let Some(table) = table.get_mut(name) {
            put(&mut table["request"], lines(root.request.iter().map(|package| package.clone().into())));
        }
    }
}

/// Removes the keys that are not to stay.
fn retain(table: &mut dyn TableLike, stays: impl Fn(&str) -> bool) {
    let gone: Vec<String> =
        table.iter().map(|(name, _)| name.to_owned()).filter(|name| !stays(name)).collect();
    gone.iter().for_each(|name| drop(table.remove(name)));
}

/// The text with the hashes of what a build makes for an architecture.
///
/// # Errors
/// When the text is not TOML.
pub(super) fn write_output(
    text: &str,
    build: &str,
    arch: Arch,
    made: &BTreeMap<String, Sha256Hex>,
) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    if let Some(build) = document["build"][build].as_table_mut() {
        let output = build.entry("output").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let mut table = Table::new();
        made.iter().for_each(|(file, hash)| drop(table.insert(file, toml_edit::value(hash.as_str()))));
        output[&arch.to_string()] = Item::Table(table);
    }
    Ok(document.to_string())
}

/// Replaces a value; what stands before and after it on its lines stays.
fn put(item: &mut Item, mut value: Value) {
    if let Some(old) = item.as_value() {
        *value.decor_mut() = old.decor().clone();
    }
    *item = Item::Value(value);
}

/// An array with a line for each value.
fn lines(values: impl Iterator<Item = Value>) -> Value {
    let mut array = Array::new();
    for mut value in values {
        value.decor_mut().set_prefix("\n  ");
        array.push_formatted(value);
    }
    if !array.is_empty() {
        array.set_trailing_comma(true);
        array.set_trailing("\n");
    }
    array.into()
}

fn deb_entry(deb: &Deb) -> InlineTable {
    let mut roots = Array::new();
    deb.roots.iter().for_each(|root| roots.push(root));
    let mut entry = InlineTable::new();
    entry.insert("name", deb.name.clone().into());
    entry.insert("version", deb.version.clone().into());
    entry.insert("arch", deb.arch.to_string().into());
    entry.insert("roots", roots.into());
    entry.insert("file", deb.file.clone().into());
    entry.insert("size", size(deb.size));
    entry.insert("sha256", deb.sha256.to_string().into());
    entry
}

fn module_entry(module: &Module) -> InlineTable {
    let mut builds = Array::new();
    module.builds.iter().for_each(|build| builds.push(build));
    let mut entry = InlineTable::new();
    entry.insert("path", module.path.clone().into());
    entry.insert("version", module.version.clone().into());
    entry.insert("builds", builds.into());
    if let Some(sum) = &module.sum {
        entry.insert("sum", sum.to_string().into());
    }
    if let Some(sum) = &module.go_mod {
        entry.insert("go_mod", sum.to_string().into());
    }
    if let Some(bytes) = module.size {
        entry.insert("size", size(bytes));
    }
    entry
}

fn files(source: &Source) -> impl Iterator<Item = Value> {
    source.files.iter().map(|file| {
        let mut entry = InlineTable::new();
        entry.insert("file", file.file.clone().into());
        entry.insert("size", size(file.size));
        entry.insert("sha256", file.sha256.to_string().into());
        entry.into()
    })
}

/// TOML's integers are signed; no file is that large.
fn size(bytes: u64) -> Value {
    i64::try_from(bytes).unwrap_or(i64::MAX).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Lock, write};
    use crate::ground::arch::Arch;
    use crate::lockfile::format::{Closure, Root};

    const GOOD: &str = include_str!("../../tests/fixtures/good-lock.toml");

    #[test]
    fn a_lock_written_into_its_own_text_changes_nothing() {
        let lock = Lock::parse(Path::new("lockfile.toml"), GOOD).unwrap();
        assert_eq!(write(GOOD, &lock).unwrap(), GOOD);
    }

    #[test]
    fn only_the_lines_of_what_changed_change() {
        let mut lock = Lock::parse(Path::new("lockfile.toml"), GOOD).unwrap();
        lock.epoch += 1;
        lock.firstboot.insert(Arch::Amd64, "e".repeat(64).parse().unwrap());
        lock.root.get_mut("base").unwrap().request.push("socat".to_owned());
        lock.deb.get_mut("trixie").unwrap()[1].version = "34.2-3".to_owned();
        let text = write(GOOD, &lock).unwrap();
        let expected = GOOD
            .replace("1789199741", "1789199742")
            .replace(&"f".repeat(64), &"e".repeat(64))
            .replace("  \"kmod\",\n]", "  \"kmod\",\n  \"socat\",\n]")
            .replace("\"34.2-2\"", "\"34.2-3\"");
        assert_eq!(text, expected);
    }

    #[test]
    fn roots_come_and_go_with_the_recipes_that_ask_for_packages() {
        let mut lock = Lock::parse(Path::new("lockfile.toml"), GOOD).unwrap();
        let base = lock.root["base"].clone();
        let request = vec!["haproxy".to_owned()];
        let closure = Closure::Depends;
        lock.root.insert("base-balancer".to_owned(), Root { request, closure, ..base });
        let text = write(GOOD, &lock).unwrap();
        assert_eq!(Lock::parse(Path::new("lockfile.toml"), &text).unwrap(), lock);
        assert!(text.contains("\n\n[root.base-balancer]\nsuite = "), "{text}");
        lock.root.remove("base-balancer");
        assert_eq!(write(&text, &lock).unwrap(), GOOD);
    }

    #[test]
    fn a_first_update_adds_what_is_missing() {
        let lock = Lock::parse(Path::new("lockfile.toml"), GOOD).unwrap();
        let filled = [
            "epoch =",
            "snapshot =",
            "[deb]",
            "trixie = [",
            "  { name",
            "  { file",
            "files = [",
            "version = \"1.0",
        ];
        let kept: Vec<&str> =
            GOOD.lines().filter(|line| !filled.iter().any(|start| line.starts_with(start))).collect();
        // What closed the two arrays.
        let skeleton =
            kept.join("\n").replace("]\n\n[build.hello]", "\n[build.hello]").trim_end_matches(']').to_owned();
        let text = write(&skeleton, &lock).unwrap();
        assert_eq!(Lock::parse(Path::new("lockfile.toml"), &text).unwrap(), lock);
        assert_eq!(write(&text, &lock).unwrap(), text);
    }
}
