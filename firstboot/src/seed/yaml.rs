//! YAML as a seed needs it: one document, without aliases and tags, no key twice, bounded in size and depth. What a
//! parser would make of `yes` or `0x10` is left to who reads a value: here everything is text, and knows its line.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::console::shown;
use crate::seed::error::SeedError;

/// The largest text, in bytes.
pub const LARGEST: usize = 256 << 10;
/// How deep lists and mappings may lie in each other.
const DEEPEST: usize = 16;

/// A value and the line that it starts at, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it starts.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing: `null`, `~` or an empty place.
    Null,
    /// Text, also of numbers and truth values.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in their order.
    Map(Vec<(String, Node)>),
}

/// A list or mapping that is not closed yet.
enum Open {
    List(usize, Vec<Node>),
    Map { line: usize, seen: BTreeSet<String>, entries: Vec<(String, Node)>, key: Option<String> },
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
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            SeedError::new(error.marker().line(), format!("this is no YAML: {}", shown(error.info())))
        })?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(SeedError::new(line, "tags like `!x` are not read; write the plain value"));
            }
            Event::Alias(_) => {
                return Err(SeedError::new(line, "aliases like `*x` are not read; write the value itself"));
            }
            Event::DocumentStart(_) if root.is_some() => {
                return Err(SeedError::new(line, "a second document starts; write one"));
            }
            Event::Scalar(text, style, _, _) => {
                let null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                Some(Node { line, value: if null { Value::Null } else { Value::Text(text.into_owned()) } })
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map { line, seen: BTreeSet::new(), entries: Vec::new(), key: None });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(close),
            _ => None,
        };
        if open.len() > DEEPEST {
            return Err(SeedError::new(line, format!("lists and mappings lie more than {DEEPEST} deep")));
        }
        match (done, open.last_mut()) {
            (Some(node), Some(parent)) => add(parent, node)?,
            (Some(node), None) => root = Some(node),
            (None, _) => {}
        }
    }
    Ok(root.unwrap_or(Node { line: 1, value: Value::Null }))
}

fn close(open: Open) -> Node {
    match open {
        Open::List(line, list) => Node { line, value: Value::List(list) },
        Open::Map { line, entries, .. } => Node { line, value: Value::Map(entries) },
    }
}

fn add(parent: &mut Open, node: Node) -> Result<(), SeedError> {
    match parent {
        Open::List(_, list) => list.push(node),
        Open::Map { seen, entries, key, .. } => match key.take() {
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
    use super::{Value, parse};

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
    fn what_is_not_read_is_named_with_its_line() {
        insta::assert_snapshot!(refusal("a: 1\nb: 2\na: 3\n"), @"line 3: `a` is given twice");
        insta::assert_snapshot!(refusal("a: &x [1]\nb: *x\n"), @"line 2: aliases like `*x` are not read; write the value itself");
        insta::assert_snapshot!(refusal("a: !!binary aGk=\n"), @"line 1: tags like `!x` are not read; write the plain value");
        insta::assert_snapshot!(refusal("a: 1\n---\nb: 1\n"), @"line 2: a second document starts; write one");
        insta::assert_snapshot!(refusal("{[a]: 1}"), @"line 1: a key is no text");
        insta::assert_snapshot!(refusal(&"[".repeat(40)), @"line 1: lists and mappings lie more than 16 deep");
        insta::assert_snapshot!(refusal("a: [1, 2"), @r"line 2: this is no YAML: while parsing a flow sequence, expected \',\' or \']\'");
        insta::assert_snapshot!(refusal(&"a".repeat(300 << 10)), @"line 1: the text is larger than 262144 bytes");
    }
}
