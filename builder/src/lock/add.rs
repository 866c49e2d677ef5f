//! `builder lock add`: a file or a container image that somebody publishes becomes an entry of the lock, with the
//! checksum or digest of what came.
//!
//! It owns the layout of the entry and the reading of published checksum files; comments and everything else in the
//! lockfile stay as they are. It downloads nothing itself.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain, Result};
use crate::ground::hash::{Digest, Sha256Hex};
use crate::lockfile::Lock;

/// What is to be added.
#[derive(Debug, Clone)]
pub struct Addition {
    /// The release.
    pub release: String,
    /// The component, new or one that has downloads already.
    pub component: String,
    /// The address, with `{arch}`.
    pub url: String,
    /// What is taken of it.
    pub take: Take,
}

/// What is taken of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// The file itself, under a name.
    File(String),
    /// Files of a `tar.gz` archive: name → path in it.
    Files(BTreeMap<String, String>),
    /// Every file of a folder of a `tar.gz` archive.
    Folder(String),
}

/// What came.
#[derive(Debug, Clone)]
pub struct Found {
    /// Content.
    pub sha256: Sha256Hex,
    /// Bytes.
    pub size: u64,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The lock has no such release.
    #[error("there is no release `{name}` in the lockfile; there are: {known}")]
    Release {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The component's files come from somewhere else.
    #[error(
        "the component `{component}` of the release `{release}` has no `url`: its files come from elsewhere"
    )]
    Kind {
        /// The release.
        release: String,
        /// The component.
        component: String,
    },
    /// The release has such an image already.
    #[error("the release `{release}` has a container image `{image}` already")]
    Image {
        /// The release.
        release: String,
        /// The image.
        image: String,
    },
    /// What is to be taken of a file is not said, or of an image said.
    #[error("{0}")]
    Take(&'static str),
    /// The checksum file does not name the file.
    #[error("{from} has no SHA-256 or SHA-512 of `{file}`")]
    NotListed {
        /// The checksum file's address.
        from: String,
        /// What was looked for.
        file: String,
    },
    /// What came is not what the checksum file says.
    #[error("{file}: the checksum is not the published one\n  published {published}\n  found     {found}")]
    Mismatch {
        /// The file.
        file: String,
        /// What the checksum file says.
        published: String,
        /// What came.
        found: String,
    },
}

impl Explain for AddError {
    fn class(&self) -> Class {
        match self {
            Self::Mismatch { .. } => Class::Host,
            _ => Class::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Release { .. } => {
                "name one with `--release`, or write `[release.NAME]` into the lockfile first"
            }
            Self::Kind { .. } => "choose another name, or remove the component first",
            Self::Image { .. } => "choose another name, or remove the image first",
            Self::Take(_) => "`builder lock add --help` shows both forms",
            Self::NotListed { .. } => "a checksum file has `HASH  NAME` a line, or one hash alone",
            Self::Mismatch { .. } => "nothing was added; ask the publisher which of the two is right",
        };
        Some(hint.to_owned())
    }
}

/// The published checksum of a file: of `HASH  NAME` lines that of its name, or the only hash there is.
///
/// # Errors
/// [`AddError::NotListed`].
pub fn published(text: &str, file: &str, from: &str) -> Result<String, AddError> {
    let hash = |word: &str| {
        let word = word.to_ascii_lowercase();
        let good = matches!(word.len(), 64 | 128) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        good.then_some(word)
    };
    let mut alone = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(found) = words.next().and_then(hash) else { continue };
        match words.next() {
            None => alone.push(found),
            // `sha256sum` marks binary files with a star.
            Some(name) if name.trim_start_matches('*').rsplit('/').next() == Some(file) => return Ok(found),
            Some(_) => {}
        }
    }
    match alone.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(AddError::NotListed { from: from.to_owned(), file: file.to_owned() }),
    }
}

/// The lockfile's text with a container image of a registry in it; `path` is for messages.
///
/// # Errors
/// [`AddError`], or what makes the lock wrong with it.
pub fn add_image(
    path: &Path,
    text: &str,
    (release, image): (&str, &str),
    reference: &str,
    digests: &BTreeMap<Arch, Digest>,
) -> Result<String> {
    let mut document = open(path, text, release)?;
    let taken = || AddError::Image { release: release.to_owned(), image: image.to_owned() };
    let images = document["release"][release].as_table_like_mut().ok_or_else(taken)?.entry("image");
    let images = images.or_insert_with(implicit).as_table_like_mut().ok_or_else(taken)?;
    if images.contains_key(image) {
        return Err(taken().into());
    }
    let mut digest = InlineTable::new();
    for (arch, found) in digests {
        digest.insert(arch.to_string(), found.to_string().into());
    }
    let mut table = Table::new();
    table.insert("reference", toml_edit::value(reference));
    table.insert("digest", Item::Value(digest.into()));
    images.insert(image, Item::Table(table));
    written(path, &document)
}

/// The text as a document, when it is a lock with such a release.
fn open(path: &Path, text: &str, release: &str) -> Result<DocumentMut> {
    let lock = Lock::draft(path, text)?;
    if !lock.release.contains_key(release) {
        let known = lock.release.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(AddError::Release { name: release.to_owned(), known }.into());
    }
    let parsed = text.parse().map_err(|error: toml_edit::TomlError| {
        crate::ground::input::wrong(path, text, error.span(), error.message().to_owned(), None)
    });
    Ok(parsed?)
}

/// The document's text, when it is still a lock.
fn written(path: &Path, document: &DocumentMut) -> Result<String> {
    let written = document.to_string();
    Lock::draft(path, &written)?;
    Ok(written)
}

/// A table that has no line of its own.
fn implicit() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// The lockfile's text with the entry in it; `path` is for messages.
///
/// # Errors
/// [`AddError`], or what makes the lock wrong with it.
pub fn add(path: &Path, text: &str, addition: &Addition, found: &BTreeMap<Arch, Found>) -> Result<String> {
    let Addition { release, component, .. } = addition;
    let mut document = open(path, text, release)?;
    let kind = || AddError::Kind { release: release.clone(), component: component.clone() };
    let components = &mut document["release"][release]["component"];
    let components = components.as_table_like_mut().ok_or_else(kind)?;
    let table = components.entry(component).or_insert_with(implicit);
    let table = table.as_table_mut().ok_or_else(kind)?;
    if !table.is_empty() && !table.contains_key("url") {
        return Err(kind().into());
    }
    let downloads = table.entry("url").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    downloads.as_array_of_tables_mut().ok_or_else(kind)?.push(entry(addition, found));
    written(path, &document)
}

fn entry(addition: &Addition, found: &BTreeMap<Arch, Found>) -> Table {
    let inline = |value: &dyn Fn(&Found) -> Value| {
        let mut table = InlineTable::new();
        for (arch, found) in found {
            table.insert(arch.to_string(), value(found));
        }
        Item::Value(table.into())
    };
    let mut table = Table::new();
    let mut urls = toml_edit::Array::new();
    urls.push(addition.url.as_str());
    table.insert("urls", Item::Value(urls.into()));
    table.insert("sha256", inline(&|found| found.sha256.to_string().into()));
    table.insert("size", inline(&|found| i64::try_from(found.size).unwrap_or(i64::MAX).into()));
    if !matches!(addition.take, Take::File(_)) {
        table.insert("unpack", toml_edit::value("tar.gz"));
    }
    match &addition.take {
        Take::File(name) => {
            table.insert("file", toml_edit::value(name.as_str()));
        }
        Take::Files(files) => {
            let mut chosen = InlineTable::new();
            for (name, path) in files {
                chosen.insert(name, path.as_str().into());
            }
            table.insert("files", Item::Value(chosen.into()));
        }
        Take::Folder(folder) => {
            table.insert("folder", toml_edit::value(folder.as_str()));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::published;

    #[test]
    fn a_published_checksum_is_that_of_the_name_or_the_only_one() {
        let (a, b) = ("a".repeat(64), "b".repeat(128));
        let list = format!("# sums\n{a}  dist/tool-amd64\n{b} *tool-arm64\nnonsense tool\n");
        assert_eq!(published(&list, "tool-amd64", "x").unwrap(), a);
        assert_eq!(published(&list, "tool-arm64", "x").unwrap(), b);
        assert_eq!(published(&format!("{}\n", a.to_uppercase()), "any", "x").unwrap(), a);
        for (text, file) in [(list.as_str(), "tool"), (&format!("{a}\n{a}\n"), "tool"), ("", "tool")] {
            assert!(published(text, file, "x").is_err());
        }
    }
}
