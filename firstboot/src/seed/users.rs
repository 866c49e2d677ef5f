//! Users and their keys, as user-data, vendor-data and meta-data say it together.

use crate::seed::error::SeedError;
use crate::seed::reader::{At, Keys};
use crate::settings::interface::Account;
use crate::settings::keys::first_label;

/// The longest key that is taken, in bytes: RSA with 16384 bits has 2.8 KB.
const LONGEST_KEY: usize = 16 << 10;

/// The keys of a user. Others would change accounts in ways that Kiln's images have no use for.
const KEYS: Keys = &["name", "gecos", "shell", "ssh_authorized_keys", "ssh-authorized-keys"];

/// One user, as a mapping.
pub fn account(at: &At<'_>, ignored: &mut Vec<String>) -> Result<Account, SeedError> {
    let mut account = Account::default();
    for (key, at) in at.keys(KEYS, ignored)? {
        match key {
            _ if at.is_null() => {}
            "name" => account.name = login(&at)?,
            "gecos" => account.gecos = field(&at)?,
            "shell" => {
                account.shell = field(&at)?;
                if !account.shell.starts_with('/') {
                    return Err(at.wrong("the path of a program, like `/bin/bash`"));
                }
            }
            _ => account.keys = ssh_keys(&at)?,
        }
    }
    if account.name.is_empty() {
        return Err(at.wrong("a user with `name`"));
    }
    Ok(account)
}

/// A login name, as useradd(8) takes it.
pub fn login(at: &At<'_>) -> Result<String, SeedError> {
    checked_login(at.text()?, at)
}

/// Login names, with commas between them where there are several.
pub fn logins(at: &At<'_>) -> Result<Vec<String>, SeedError> {
    let names = at.text()?.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| checked_login(name, at)).collect()
}

fn checked_login(name: &str, at: &At<'_>) -> Result<String, SeedError> {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let first = |byte: &u8| matches!(byte, b'a'..=b'z' | b'_');
    if (1..=32).contains(&name.len()) && name.bytes().all(inner) && name.as_bytes().first().is_some_and(first)
    {
        return Ok(name.to_owned());
    }
    Err(at.wrong("a login name of lower-case letters, digits, `_` and `-`, like `ubuntu`"))
}

/// A field of passwd(5).
fn field(at: &At<'_>) -> Result<String, SeedError> {
    let text = at.text()?;
    if text.contains(':') || text.len() > 256 {
        return Err(at.wrong("a short text without a colon"));
    }
    Ok(text.to_owned())
}

/// Keys: a list, or one text that is a whole file `authorized_keys`. A template leaves empty entries behind.
pub fn ssh_keys(at: &At<'_>) -> Result<Vec<String>, SeedError> {
    if let Some(text) = at.as_text() {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        return lines.map(|line| ssh_key(line, at)).collect();
    }
    let entries = at.list()?.into_iter().filter(|at| !at.is_null() && at.as_text() != Some(""));
    entries.map(|at| ssh_key(at.text()?, &at)).collect()
}

/// A line of `authorized_keys`, see sshd(8): options may stand before the key's type.
fn ssh_key(key: &str, at: &At<'_>) -> Result<String, SeedError> {
    const KINDS: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    let is_line = key.len() <= LONGEST_KEY && !key.chars().any(char::is_control);
    let mut words = key.split_ascii_whitespace();
    let has_kind = words.any(|word| KINDS.iter().any(|kind| word.starts_with(kind)));
    if !is_line || !has_kind || words.next().is_none() {
        return Err(at.wrong("a public key of SSH, like `ssh-ed25519 AAAA… name`"));
    }
    Ok(key.to_owned())
}

/// The first part of a host name. A name that is complete may end in a dot, as in DNS.
pub fn host_label(at: &At<'_>) -> Result<String, SeedError> {
    let name = at.text()?;
    first_label(name.strip_suffix('.').unwrap_or(name)).map_err(|expected| at.wrong(expected))
}
