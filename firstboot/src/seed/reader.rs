//! Typed reading of a seed's values: each accessor names the key and its line when the value has another form. It
//! does not know which keys there are.

use crate::console::shown;
use crate::seed::error::SeedError;
use crate::seed::value::{Node, Value};

/// The most users or network cards of a seed.
pub const MOST: usize = 64;

/// A value with the path of keys that leads to it.
#[derive(Clone)]
pub struct At<'a> {
    /// The path, like `users[0].name`; empty for the whole text.
    pub path: String,
    node: &'a Node,
}

/// The keys of one mapping that are applied.
pub type Keys = &'static [&'static str];

/// How far a key may be from one that is applied to be taken for a mistake in writing that one.
const NEAR: usize = 2;

impl<'a> At<'a> {
    /// The whole of a text.
    pub fn whole(node: &'a Node) -> Self {
        Self { path: String::new(), node }
    }

    /// An error about this value.
    pub fn wrong(&self, expected: &str) -> SeedError {
        let is = match &self.node.value {
            Value::Null => "empty".to_owned(),
            Value::Text(text) => format!("`{}`", shown(text)),
            Value::Foreign(what) => what.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        };
        let key = if self.path.is_empty() { "the text" } else { &format!("`{}`", shown(&self.path)) };
        self.error(format!("{key} is {is}; write {expected}"))
    }

    /// An error at this value's line.
    pub fn error(&self, message: impl Into<String>) -> SeedError {
        SeedError::new(self.node.line, message)
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    /// The text, when it is one.
    pub fn as_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Whether it is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// One line of text.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self) -> Result<&'a str, SeedError> {
        let line = self.as_text().map(str::trim).filter(|text| !text.chars().any(char::is_control));
        line.ok_or_else(|| self.wrong("one line of text"))
    }

    /// A value of any type that is written as text.
    ///
    /// # Errors
    /// It is not; `expected` says what it should be.
    pub fn parse<T: std::str::FromStr>(&self, expected: &str) -> Result<T, SeedError> {
        let text = self.as_text().and_then(|text| text.trim().parse().ok());
        text.ok_or_else(|| self.wrong(expected))
    }

    /// A truth value, in the words of YAML 1.1, which is what cloud-init reads.
    ///
    /// # Errors
    /// It is something else.
    pub fn boolean(&self) -> Result<bool, SeedError> {
        match self.as_text().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "yes" | "on") => Ok(true),
            Some("false" | "no" | "off") => Ok(false),
            _ => Err(self.wrong("`true` or `false`")),
        }
    }

    /// The entries of a list; none when nothing stands here.
    ///
    /// # Errors
    /// It is something else.
    pub fn list(&self) -> Result<Vec<Self>, SeedError> {
        match &self.node.value {
            Value::Null => Ok(Vec::new()),
            Value::List(nodes) => Ok((nodes.iter().enumerate())
                .map(|(index, node)| Self { path: format!("{}[{index}]", self.path), node })
                .collect()),
            _ => Err(self.wrong("a list")),
        }
    }

    /// The entries of a list, or the one value that stands in its place.
    ///
    /// # Errors
    /// It is a mapping.
    pub fn list_or_one(&self) -> Result<Vec<Self>, SeedError> {
        if self.as_text().is_some() { Ok(vec![self.clone()]) } else { self.list() }
    }

    /// `list`, when it is short enough for users or cards: what is made of each is compared with the others.
    ///
    /// # Errors
    /// It has more than [`MOST`] entries.
    pub fn limited<T>(&self, list: Vec<T>) -> Result<Vec<T>, SeedError> {
        if list.len() > MOST {
            let message = format!("`{}` has {} entries; write at most {MOST}", self.path, list.len());
            return Err(self.error(message));
        }
        Ok(list)
    }

    /// The keys and values of a mapping, whatever the keys are; none when nothing stands here.
    ///
    /// # Errors
    /// It is something else.
    pub fn entries(&self) -> Result<Vec<(&'a str, Self)>, SeedError> {
        let dot = if self.path.is_empty() { "" } else { "." };
        match &self.node.value {
            Value::Null => Ok(Vec::new()),
            Value::Map(entries) => Ok((entries.iter())
                .map(|(key, node)| (&**key, Self { path: format!("{}{dot}{key}", self.path), node }))
                .collect()),
            _ => Err(self.wrong("a mapping of keys and values")),
        }
    }

    /// The mapping's keys that are applied; the others are added to `ignored`, whatever they are: cloud-init has many, other platforms
    /// write more, and next year there are others.
    ///
    /// # Errors
    /// It is no mapping.
    pub fn keys(
        &self,
        applied: &[&str],
        ignored: &mut Vec<String>,
    ) -> Result<Vec<(&'a str, Self)>, SeedError> {
        let (found, others): (Vec<_>, Vec<_>) =
            self.entries()?.into_iter().partition(|(key, _)| applied.contains(key));
        for (key, at) in others {
            let path = shown(&at.path);
            let near =
                |known: &&&str| strsim::levenshtein(known, &shown(key)) <= NEAR && !is_sibling(known, key);
            ignored.push(match applied.iter().find(near) {
                Some(near) => format!("{path} (did you mean `{near}`?)"),
                None => path,
            });
        }
        Ok(found)
    }

    /// The mapping's keys, where each of them counts: what is not applied would make it mean something else.
    ///
    /// # Errors
    /// It is no mapping, or has another key; `what` says what this is.
    pub fn only(&self, applied: Keys, what: &str) -> Result<Vec<(&'a str, Self)>, SeedError> {
        let entries = self.entries()?;
        match entries.iter().find(|(key, _)| !applied.contains(key)) {
            None => Ok(entries),
            Some((key, at)) => Err(at.error(format!(
                "`{}`: {what} by `{}`; Kiln's images know {}",
                shown(&self.path),
                shown(key),
                applied.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}

/// Whether two keys differ in digits alone, as `dhcp4-overrides` and `dhcp6-overrides` do: that is no slip of the pen.
fn is_sibling(one: &str, other: &str) -> bool {
    let alike = |(one, other): (u8, u8)| one == other || (one.is_ascii_digit() && other.is_ascii_digit());
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(alike)
}
