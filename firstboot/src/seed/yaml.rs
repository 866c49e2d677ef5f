//! YAML as a seed needs it: one document, no key twice, bounded in size and depth, also in what aliases repeat. What a
//! parser would make of `yes` or `0x10` is left to who reads a value: here everything is text, and knows its line.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::console::shown;
use crate::seed::error::SeedError;
use crate::seed::tag;
pub use crate::seed::value::{Node, Value};

/// The largest text, in bytes.
pub const LARGEST: usize = 256 << 10;
/// How deep lists and mappings may lie in each other.
const DEEPEST: usize = 16;
/// How much aliases may repeat, in bytes of memory.
const REPEATED: usize = 1 << 20;
/// The parser's number of what has no anchor.
const NO_ANCHOR: usize = 0;
/// The key that stands for the keys of another mapping (<https://yaml.org/type/merge.html>).
const MERGE: &str = "<<";

/// A list or mapping that is not closed yet.
struct Open {
    line: usize,
    anchor: usize,
    /// What it is, when its tag is of no plain type.
    foreign: Option<String>,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { seen: BTreeSet<String>, entries: Vec<(String, Node)>, key: Option<String> },
}

/// What aliases may lead to.
struct Anchors {
    nodes: BTreeMap<usize, Node>,
    /// How much more may be kept and repeated.
    left: usize,
}

/// Parses one document; a text without any is [`Value::Null`].
///
/// # Errors
/// The text is no YAML, or uses what this reader does not allow.
pub fn parse(text: &str) -> Result<Node, SeedError> {
    if text.len() > LARGEST {
        return Err(SeedError::new(1, format!("the text is larger than {LARGEST} bytes")));
    }
    let mut open: Vec<Open> = Vec::new();
    let mut anchors = Anchors { nodes: BTreeMap::new(), left: REPEATED };
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            SeedError::new(error.marker().line(), format!("this is no YAML: {}", shown(error.info())))
        })?;
        let line = span.start.line();
        let done = match event {
            Event::DocumentStart(_) if root.is_some() => {
                return Err(SeedError::new(line, "a second document starts; write one"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = match tag {
                    Some(tag) => tag::scalar(&tag, text.into_owned()),
                    None if null => Value::Null,
                    None => Value::Text(text.into_owned()),
                };
                Some((anchor, Node { line, value }))
            }
            Event::Alias(anchor) => {
                let node = anchors.repeat(anchor, line, DEEPEST.saturating_sub(open.len()))?;
                Some((NO_ANCHOR, node))
            }
            Event::SequenceStart(anchor, tag) => {
                let foreign = tag.and_then(|tag| tag::foreign(&tag, "!!seq"));
                open.push(Open { line, anchor, foreign, content: Content::List(Vec::new()) });
                None
            }
            Event::MappingStart(anchor, tag) => {
                let foreign = tag.and_then(|tag| tag::foreign(&tag, "!!map"));
                let content = Content::Map { seen: BTreeSet::new(), entries: Vec::new(), key: None };
                open.push(Open { line, anchor, foreign, content });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop().map(|ended| Ok((ended.anchor, close(ended)?))).transpose()?
            }
            _ => None,
        };
        if open.len() > DEEPEST {
            return Err(too_deep(line));
        }
        let Some((anchor, node)) = done else { continue };
        anchors.keep(anchor, &node)?;
        match open.last_mut() {
            Some(parent) => add(parent, node)?,
            None => root = Some(node),
        }
    }
    Ok(root.unwrap_or(Node { line: 1, value: Value::Null }))
}

fn too_deep(line: usize) -> SeedError {
    SeedError::new(line, format!("lists and mappings lie more than {DEEPEST} deep"))
}

impl Anchors {
    /// Keeps a node that has an anchor.
    fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), SeedError> {
        if anchor != NO_ANCHOR {
            self.pay(node, node.line)?;
            self.nodes.insert(anchor, node.clone());
        }
        Ok(())
    }

    /// The node of an anchor, at the alias' line; it may lie so deep.
    fn repeat(&mut self, anchor: usize, line: usize, deep: usize) -> Result<Node, SeedError> {
        let Some(node) = self.nodes.get(&anchor).cloned() else {
            return Err(SeedError::new(line, "an alias stands in what it repeats"));
        };
        if depth(&node) > deep {
            return Err(too_deep(line));
        }
        self.pay(&node, line)?;
        Ok(Node { line, ..node })
    }

    fn pay(&mut self, node: &Node, line: usize) -> Result<(), SeedError> {
        self.left = self
            .left
            .checked_sub(size(node))
            .ok_or_else(|| SeedError::new(line, format!("aliases repeat more than {REPEATED} bytes")))?;
        Ok(())
    }
}

/// About how many bytes of memory a node takes.
fn size(node: &Node) -> usize {
    size_of::<Node>()
        + match &node.value {
            Value::Null => 0,
            Value::Text(text) | Value::Foreign(text) => text.len(),
            Value::List(list) => list.iter().map(size).sum(),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| size_of::<String>() + key.len() + size(node)).sum()
            }
        }
}

/// How many lists and mappings lie in each other.
fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Text(_) | Value::Foreign(_) => 0,
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|(_, node)| depth(node)).max().unwrap_or(0),
    }
}

fn close(open: Open) -> Result<Node, SeedError> {
    let value = match (open.foreign, open.content) {
        (Some(what), _) => Value::Foreign(what),
        (None, Content::List(list)) => Value::List(list),
        (None, Content::Map { entries, .. }) => Value::Map(merged(entries)?),
    };
    Ok(Node { line: open.line, value })
}

/// A mapping's entries with those of the mappings that [`MERGE`] names: its own win, then the first that has a key.
fn merged(mut entries: Vec<(String, Node)>) -> Result<Vec<(String, Node)>, SeedError> {
    let Some(at) = entries.iter().position(|(key, _)| key == MERGE) else { return Ok(entries) };
    let (_, Node { line, value }) = entries.remove(at);
    let maps = match value {
        Value::List(list) => list.into_iter().map(|node| node.value).collect(),
        value => vec![value],
    };
    let mut known: BTreeSet<String> = entries.iter().map(|(key, _)| key.clone()).collect();
    for map in maps {
        let Value::Map(map) = map else {
            return Err(SeedError::new(line, "`<<` is to be a mapping, or a list of them"));
        };
        entries.extend(map.into_iter().filter(|(key, _)| known.insert(key.clone())));
    }
    Ok(entries)
}

fn add(parent: &mut Open, node: Node) -> Result<(), SeedError> {
    match &mut parent.content {
        Content::List(list) => list.push(node),
        Content::Map { seen, entries, key } => match key.take() {
            Some(name) => entries.push((name, node)),
            None => {
                let Value::Text(name) = node.value else {
                    return Err(SeedError::new(node.line, "a key is no text"));
                };
                if !seen.insert(name.clone()) {
                    return Err(SeedError::new(node.line, format!("`{}` is given twice", shown(&name))));
                }
                *key = Some(name);
            }
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Node, Value, parse};

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn values_know_their_lines() {
        let node = parse("# x\na: 1\nb: [x, ~, 'null']\nc:\n  d: |\n    e\n").unwrap();
        let Value::Map(entries) = node.value else { panic!("{node:?}") };
        let lines: Vec<_> = entries.iter().map(|(key, node)| format!("{key} {}", node.line)).collect();
        assert_eq!(lines, ["a 2", "b 3", "c 5"]);
        let Value::List(list) = &entries[1].1.value else { panic!() };
        assert_eq!([&list[1].value, &list[2].value], [&Value::Null, &Value::Text("null".to_owned())]);
    }

    #[test]
    fn nothing_is_null() {
        for text in ["", "#cloud-config\n", "---\n", "~", "# x\n---\n# y\n"] {
            assert_eq!(parse(text).unwrap().value, Value::Null, "{text}");
        }
    }

    #[test]
    fn aliases_and_merged_keys_are_what_they_repeat() {
        let plain = "a: {x: 1, y: [2]}\nb: {x: 1, y: [2]}\nc: {z: 4, x: 1, y: [2]}\nd: {y: 3, x: 1}\n";
        let aliases = "a: &a {x: 1, y: &y [2]}\nb: *a\nc: {z: 4, <<: *a}\nd: {<<: [*a, {y: 5}], y: 3}\n";
        let text = |text: &str| shape(&parse(text).unwrap());
        assert_eq!(text(aliases), text(plain));
    }

    /// A node without its lines.
    fn shape(node: &Node) -> String {
        match &node.value {
            Value::List(list) => format!("{:?}", list.iter().map(shape).collect::<Vec<_>>()),
            Value::Map(entries) => {
                format!("{:?}", entries.iter().map(|(key, node)| (key, shape(node))).collect::<Vec<_>>())
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn aliases_are_bounded() {
        let mut wide = String::from("a0: &a0 [x,x,x,x,x,x,x,x]\n");
        let mut deep = String::from("a0: &a0 [x]\n");
        for level in 1..9 {
            let (own, below) = (format!("&a{level}"), format!("*a{}", level - 1));
            wide += &format!("a{level}: {own} [{}]\n", [&*below; 8].join(","));
            deep += &format!("a{level}: {own} [[{below}]]\n");
        }
        insta::assert_snapshot!(refusal(&wide), @"line 5: aliases repeat more than 1048576 bytes");
        insta::assert_snapshot!(refusal(&deep), @"line 9: lists and mappings lie more than 16 deep");
    }

    #[test]
    fn what_is_not_read_is_named_with_its_line() {
        insta::assert_snapshot!(refusal("a: 1\nb: 2\na: 3\n"), @"line 3: `a` is given twice");
        insta::assert_snapshot!(refusal("a: &x [*x]\n"), @"line 1: an alias stands in what it repeats");
        insta::assert_snapshot!(refusal("a:\n  <<: 1\n"), @"line 2: `<<` is to be a mapping, or a list of them");
        insta::assert_snapshot!(refusal("a: 1\n---\nb: 1\n"), @"line 2: a second document starts; write one");
        insta::assert_snapshot!(refusal("{[a]: 1}"), @"line 1: a key is no text");
        insta::assert_snapshot!(refusal(&"[".repeat(40)), @"line 1: lists and mappings lie more than 16 deep");
        insta::assert_snapshot!(refusal("a: [1, 2"), @r"line 2: this is no YAML: while parsing a flow sequence, expected \',\' or \']\'");
        insta::assert_snapshot!(refusal(&"a".repeat(300 << 10)), @"line 1: the text is larger than 262144 bytes");
    }

    #[test]
    fn tags_of_plain_types_are_read_and_others_are_foreign() {
        let text = |text: &str| Value::Text(text.to_owned());
        let foreign = |what: &str| Value::Foreign(what.to_owned());
        for (written, value) in [
            ("!!str 007", text("007")),
            ("! 7", text("7")),
            ("!<tag:yaml.org,2002:int> 7", text("7")),
            ("!!python/unicode 'x'", text("x")),
            ("!!null ''", Value::Null),
            ("!!binary aGk=", text("hi")),
            ("!!binary |\n  aG\n  k=\n", text("hi")),
            ("!!binary /w==", foreign("bytes that are no text")),
            ("!!binary x", foreign("`!!binary` that is no base64")),
            ("!!seq []", Value::List(Vec::new())),
            ("!!map {}", Value::Map(Vec::new())),
            ("!vault x", foreign("of the type `!vault`")),
            ("!!python/object:os.system x", foreign("of the type `!!python/object:os.system`")),
            ("!!set {x}", foreign("of the type `!!set`")),
            ("!list [x]", foreign("of the type `!list`")),
        ] {
            assert_eq!(parse(written).unwrap().value, value, "{written}");
        }
    }
}
