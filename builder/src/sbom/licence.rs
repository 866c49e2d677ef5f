//! Licences of Debian's packages, as their machine-readable copyright files name them
//! (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>), in SPDX's spelling. A package whose file is not of
//! that form has none here: a guess would be worse.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use fs_err as fs;

use crate::deb::deb822::paragraphs;
use crate::ground::error::Result;
use crate::stage::base::Base;
use crate::store::{StepKey, Store};

/// Raised when other licences are found in the same files.
const VERSION: u32 = 1;

/// Licences by package: SPDX expressions.
pub(super) type Licences = BTreeMap<String, String>;

const FOLDER: &str = "usr/share/doc/";

/// A copyright file, or the folder of the package that has the same one.
enum Found {
    Text(String),
    SameAs(String),
}

/// Where the store keeps the licences of the packages in a base.
#[must_use]
pub fn key(base: &StepKey) -> StepKey {
    StepKey::new("licences", VERSION, base)
}

/// The licences of the packages in a base; from the store, or read from its archive.
///
/// # Errors
/// When it cannot be read.
pub(super) fn of_packages(store: &Store, base: &Base) -> Result<Licences> {
    const FILE: &str = "licences.json";
    let folder = store.step(&key(&base.key), |folder| {
        let licences =
            serde_json::to_vec(&read(fs::File::open(&base.tar)?)?).map_err(std::io::Error::from)?;
        Ok(fs::write(folder.join(FILE), licences)?)
    })?;
    let licences = fs::read(folder.join(FILE))?;
    Ok(serde_json::from_slice(&licences).map_err(std::io::Error::from)?)
}

fn read(archive: impl Read) -> std::io::Result<Licences> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(std::io::BufReader::new(archive)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        let Some(below) = path.strip_prefix(FOLDER) else { continue };
        let same = |target: Option<std::borrow::Cow<'_, std::path::Path>>| {
            Some(target?.components().next()?.as_os_str().to_string_lossy().into_owned())
        };
        match below.split_once('/') {
            None => {
                if let Some(other) = same(entry.link_name()?) {
                    found.insert(below.to_owned(), Found::SameAs(other));
                }
            }
            Some((package, "copyright")) => {
                let mut text = Vec::new();
                entry.read_to_end(&mut text)?;
                found.insert(package.to_owned(), Found::Text(String::from_utf8_lossy(&text).into_owned()));
            }
            Some(_) => {}
        }
    }
    let text = |package: &String| {
        // A link leads to a link at most once.
        let mut package = package;
        for _ in 0..3 {
            match found.get(package)? {
                Found::Text(text) => return Some(text),
                Found::SameAs(other) => package = other,
            }
        }
        None
    };
    let known = found.keys().filter_map(|package| Some((package.clone(), expression(text(package)?)?)));
    Ok(known.collect())
}

/// All licences that a copyright file names, each of which holds for some of the files.
fn expression(text: &str) -> Option<String> {
    let paragraphs = paragraphs(text);
    paragraphs.first()?.get("Format")?;
    let names = paragraphs.iter().filter_map(|paragraph| paragraph.get("License")?.lines().next());
    let all: BTreeSet<String> = names.map(choice).filter(|it| !it.is_empty()).collect();
    (!all.is_empty()).then(|| all.into_iter().collect::<Vec<_>>().join(" AND "))
}

/// One `License` field: licences of which one may choose, or that hold together.
fn choice(field: &str) -> String {
    let field = field.replace(',', " ");
    let mut parts: Vec<Vec<String>> = vec![vec![String::new()]];
    for word in field.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "or" | "and/or" => parts.push(vec![String::new()]),
            "and" => parts.last_mut().unwrap_or(&mut Vec::new()).push(String::new()),
            _ => {
                if let Some(name) = parts.last_mut().and_then(|all| all.last_mut()) {
                    *name = format!("{name} {word}").trim().to_owned();
                }
            }
        }
    }
    let all = |names: &Vec<String>| {
        let names: Vec<String> = names.iter().filter(|name| !name.is_empty()).map(|name| one(name)).collect();
        names.join(" AND ")
    };
    let choices: Vec<String> = parts.iter().map(all).filter(|choice| !choice.is_empty()).collect();
    match choices.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        more => format!("({})", more.join(" OR ")),
    }
}

/// A licence by Debian's short name, as SPDX calls it; one that SPDX does not know is a reference of its own.
fn one(name: &str) -> String {
    let (name, exception) = match name.split_once(" with ") {
        Some((name, exception)) => (name.trim(), Some(exception)),
        None => (name, None),
    };
    let (plain, or_later) = match name.strip_suffix('+') {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let gnu = ["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().find_map(|family| {
        let number = plain.strip_prefix(family)?;
        let number = if number.contains('.') { number.to_owned() } else { format!("{number}.0") };
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        is_number.then(|| format!("{family}{number}-{}", if or_later { "or-later" } else { "only" }))
    });
    let known = match plain.to_ascii_lowercase().as_str() {
        "expat" => Some("MIT".to_owned()),
        "bsd-2-clause" => Some("BSD-2-Clause".to_owned()),
        "bsd-3-clause" => Some("BSD-3-Clause".to_owned()),
        "bsd-4-clause" => Some("BSD-4-Clause".to_owned()),
        "zlib" => Some("Zlib".to_owned()),
        _ => gnu,
    };
    let known = known.filter(|name| spdx::license_id(name).is_some());
    let known = known.or_else(|| spdx::license_id(name).map(|id| id.name.to_owned()));
    match (known, exception) {
        (Some(known), None) => known,
        (known, exception) => {
            let whole = [known.as_deref().unwrap_or(name), exception.unwrap_or_default()].join(" ");
            let clean: String = whole
                .trim()
                .chars()
                .map(|it| if it.is_ascii_alphanumeric() || it == '.' { it } else { '-' })
                .collect();
            format!("LicenseRef-{clean}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{expression, read};

    #[test]
    fn debians_names_become_those_of_spdx() {
        let of = |licences: &[&str]| {
            let fields = licences.iter().map(|it| format!("\nFiles: *\nLicense: {it}\n Text of it.\n"));
            expression(&format!("Format: https://x\n{}", fields.collect::<String>())).unwrap()
        };
        for (debian, spdx) in [
            (&["GPL-2+", "Expat", "GPL-2+"][..], "GPL-2.0-or-later AND MIT"),
            (&["LGPL-2.1 or Artistic"], "(LGPL-2.1-only OR LicenseRef-Artistic)"),
            (&["GPL-3+ with autoconf exception"], "LicenseRef-GPL-3.0-or-later-autoconf-exception"),
            (
                &["public-domain", "BSD-3-clause and Apache-2.0"],
                "BSD-3-Clause AND Apache-2.0 AND LicenseRef-public-domain",
            ),
        ] {
            assert_eq!(of(debian), spdx);
            spdx::Expression::parse(spdx).unwrap();
        }
        assert_eq!(expression("This is free software; see below.\n"), None);
    }

    #[test]
    fn a_folder_that_is_a_link_has_the_licence_of_the_other() {
        let mut archive = tar::Builder::new(Vec::new());
        let text = b"Format: https://x\n\nFiles: *\nLicense: Expat\n";
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, "./usr/share/doc/one/copyright", &text[..]).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "./usr/share/doc/two", "one").unwrap();
        let found = read(archive.into_inner().unwrap().as_slice()).unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("one", "MIT"), ("two", "MIT")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }
}
