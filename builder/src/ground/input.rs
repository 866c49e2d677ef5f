//! Reading TOML that a person wrote: each mistake is named with its file, line and key, and the nearest valid key.
//!
//! It owns the wording of syntax and shape errors; what values mean is the caller's concern.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use fs_err as fs;
use serde::de::DeserializeOwned;

use crate::ground::error::InputError;

/// Reads a text; `missing` is the error when there is no such file.
///
/// # Errors
/// That, or [`InputError::Unreadable`].
pub fn read(path: &Path, missing: impl FnOnce() -> InputError) -> Result<String, InputError> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => missing(),
        _ => InputError::Unreadable(error),
    })
}

/// Parses the text of the file at `path`.
///
/// # Errors
/// [`InputError::Wrong`] with the line of the first mistake.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, InputError> {
    toml::from_str(text).map_err(|error| {
        if let Some(line) = conflict(text) {
            let message = "an unfinished merge: these are git's conflict markers".to_owned();
            let hint =
                "keep one of the two sides; in a lockfile whichever, then `builder lock update`".to_owned();
            return InputError::Wrong { path: path.to_owned(), line, message, hint: Some(hint) };
        }
        let mut message = error.message().trim().replace('\n', " ");
        let hint = nearest_of(&message).or_else(|| example_of(&message));
        if let Some(key) = error.span().and_then(|span| key_at(text, span.start))
            && !message.contains(&format!("`{key}`"))
            && !message.starts_with("missing")
        {
            message = format!("`{key}`: {message}");
        }
        wrong(path, text, error.span(), message, hint)
    })
}

/// The line of git's first conflict marker.
fn conflict(text: &str) -> Option<usize> {
    let is_marker = |line: &str| ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|it| line.starts_with(it));
    text.lines().position(is_marker).map(|index| index + 1)
}

/// How a value of a standard type is written, by what its parser says.
fn example_of(message: &str) -> Option<String> {
    let example = match message {
        "invalid IP address syntax" => "a range of addresses is written like `10.200.0.0/16`",
        "invalid IPv4 address syntax" => "an address is written like `192.168.122.10`",
        _ => return None,
    };
    Some(example.to_owned())
}

/// The key of the line that a byte is in.
fn key_at(text: &str, at: usize) -> Option<&str> {
    let from = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let key = text.get(from..)?.lines().next()?.split_once('=')?.0.trim();
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!key.is_empty() && key.bytes().all(bare)).then_some(key)
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
    let line = line(text, span.map_or(0, |span| span.start));
    InputError::Wrong { path: path.to_owned(), line, message, hint }
}

/// The line, from 1, of a byte of the text.
#[must_use]
pub fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
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
    use fs_err as fs;

    use std::path::Path;

    use super::{nearest, parse, read};
    use crate::ground::error::InputError;

    #[test]
    fn a_file_that_cannot_be_read_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.toml");
        let said = || {
            let missing = || InputError::Missing { what: "profile", path: path.clone(), hint: String::new() };
            read(&path, missing).unwrap_err().to_string()
        };
        assert_eq!(said(), format!("there is no profile `{}`", path.display()));
        fs::write(&path, b"# caf\xe9").unwrap();
        assert!(said().contains("lab.toml") && said().contains("UTF-8"), "{}", said());
    }

    #[test]
    fn conflict_markers_are_named() {
        let text = "a = 1\n<<<<<<< HEAD\nb = 2\n=======\nb = 3\n>>>>>>> theirs\n";
        let error = parse::<toml::Table>(Path::new("lockfile.toml"), text).unwrap_err();
        insta::assert_snapshot!(error, @"lockfile.toml:2: an unfinished merge: these are git's conflict markers");
    }

    #[test]
    fn nearest_prefers_the_smallest_distance_and_rejects_strangers() {
        assert_eq!(nearest("gatway", ["cidr", "gateway"]), Some("gateway"));
        assert_eq!(nearest("zzzzzz", ["cidr", "gateway"]), None);
    }
}
