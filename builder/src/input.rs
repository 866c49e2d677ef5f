//! Reading TOML that a person wrote: each mistake is named with its file, line and key, and the nearest valid key.
//!
//! It owns the wording of syntax and shape errors; what values mean is the caller's concern.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::InputError;

/// Parses the text of the file at `path`.
///
/// # Errors
/// [`InputError::Wrong`] with the line of the first mistake.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, InputError> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().trim().replace('\n', " ");
        let hint = nearest_of(&message);
        wrong(path, text, error.span(), message, hint)
    })
}

/// An error at a byte range of the text.
#[must_use]
pub fn wrong(
    path: &Path,
    text: &str,
    span: Option<Range<usize>>,
    message: String,
    hint: Option<String>,
) -> InputError {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
    InputError::Wrong { path: path.to_owned(), line, message, hint }
}

/// The candidate that `word` was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Serde's "unknown field `x`, expected one of `a`, `b`": the nearest of the expected ones.
fn nearest_of(message: &str) -> Option<String> {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (unknown, valid) = quoted.split_first()?;
    if !message.starts_with("unknown") {
        return None;
    }
    nearest(unknown, valid.iter().copied()).map(|key| format!("did you mean `{key}`?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_prefers_the_smallest_distance_and_rejects_strangers() {
        assert_eq!(nearest("gatway", ["cidr", "gateway"]), Some("gateway"));
        assert_eq!(nearest("zzzzzz", ["cidr", "gateway"]), None);
    }
}
