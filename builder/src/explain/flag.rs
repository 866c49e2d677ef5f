//! The flags that Kiln's files set: the options of the program that a unit is named after, and the fields of the configuration
//! that its option `config` or `config-dir` names.

use firstboot::schema::NODE_TREE;

use crate::ground::tree::{Content, Entry, Node, Tree};

/// What every configuration says of itself.
const HEAD: [&str; 2] = ["apiVersion", "kind"];

/// A flag of a program as a file sets it.
pub(super) struct Flag<'a> {
    /// `program:name`.
    pub(super) name: String,
    /// What it is set to; nothing for an option without a value.
    pub(super) value: Option<String>,
    /// The file that sets it.
    pub(super) by: &'a Entry,
}

/// The flags of the program of a unit.
pub(super) fn flags<'a>(unit: &str, entry: &'a Entry, tree: &'a Tree) -> Vec<Flag<'a>> {
    let Some((program, options)) = text(entry).and_then(|text| options(unit, text)) else {
        return Vec::new();
    };
    let mut flags = Vec::new();
    let mut add = |name: &str, value: &str, by: &'a Entry| {
        let value = Some(value.to_owned()).filter(|value| !value.is_empty());
        flags.push(Flag { name: format!("{program}:{name}"), value, by });
    };
    for (name, value) in &options {
        add(name, value, entry);
        let path = value.trim_start_matches('/');
        let is_configuration = |file: &str| match name.as_str() {
            "config" => file == path,
            "config-dir" => file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')),
            _ => false,
        };
        let files = tree.entries().filter(|(file, _)| is_configuration(visible(file)));
        for entry in files.map(|(_, entry)| entry) {
            for (name, value) in text(entry).map(fields).unwrap_or_default() {
                add(&name, &value, entry);
            }
        }
    }
    flags
}

/// Where firstboot puts a file of the node tree; any other is where it is.
pub(super) fn visible(path: &str) -> &str {
    path.strip_prefix(NODE_TREE).and_then(|path| path.strip_prefix('/')).unwrap_or(path)
}

fn text(entry: &Entry) -> Option<&str> {
    match &entry.node {
        Node::File { content: Content::Bytes(bytes), .. } => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// The program that a unit starts, where the unit has its name, and its options.
fn options(unit: &str, text: &str) -> Option<(String, Vec<(String, String)>)> {
    let program = unit.strip_suffix(".service")?;
    let (_, command) = text.split_once("\nExecStart=")?;
    // The command goes on behind a backslash, and an option with blanks stands in quotes.
    let whole = command.replace("\\\n", " ").replace(" \"--", " --");
    let mut parts = whole.lines().next()?.split(" --");
    if parts.next()?.trim().rsplit('/').next() != Some(program) {
        return None;
    }
    let options = parts.map(|part| {
        let part = part.trim().trim_end_matches('"');
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.to_owned(), value.to_owned())
    });
    Some((program.to_owned(), options.collect()))
}

/// The fields of a plain YAML mapping with what they are set to; one below another is named `above.below`.
fn fields(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', '-']));
    let pairs = lines.filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        Some((key.len() - key.trim_start().len(), key.trim(), value.trim()))
    });
    let pairs: Vec<_> = pairs.collect();
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut fields = Vec::new();
    for (index, (depth, key, value)) in pairs.iter().enumerate() {
        above.retain(|(other, _)| other < depth);
        above.push((*depth, key));
        let has_inner = pairs.get(index + 1).is_some_and(|(next, ..)| next > depth);
        if !has_inner && !HEAD.contains(key) {
            let names: Vec<&str> = above.iter().map(|(_, key)| *key).collect();
            fields.push((names.join("."), (*value).to_owned()));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::{fields, options};

    #[test]
    fn options_are_those_of_the_program_that_the_unit_is_named_after() {
        let text = "[Service]\nExecStartPre=/bin/true --no\nExecStart=/usr/bin/one \\\n  --a=b,c=d \\\n  --on \\\n  \
            \"--text=x y\" --last=1\nRestart=always\n";
        let (program, found) = options("one.service", text).unwrap();
        let found: Vec<String> = found.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(program, "one");
        assert_eq!(found, ["a b,c=d", "on ", "text x y", "last 1"]);
        assert!(options("two.service", text).is_none());
        assert!(options("one.timer", text).is_none());
    }

    #[test]
    fn fields_are_the_innermost_ones() {
        let text = "kind: X\n# a: 1\na:\n  b:\n    c: 1\n  d: {\"e\": 2}\nlist:\n  - one\nlast: \"x: y\"\n";
        let found: Vec<String> = fields(text).iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(found, ["a.b.c 1", "a.d {\"e\": 2}", "list ", "last \"x: y\""]);
    }
}
