//! What a seed's text is made of, as [`yaml`](super::yaml) reads it: values that know their lines.

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
    /// Of a type that only its writer knows; what it is, in words.
    Foreign(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in their order.
    Map(Vec<(String, Node)>),
}
