//! What is wrong with a text of a seed.

/// What is wrong with one of the texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SeedError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with the key.
    pub message: String,
}

impl SeedError {
    /// An error at a line.
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}
