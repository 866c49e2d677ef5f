//! New user accounts in passwd(5), group(5), shadow(5) and gshadow(5), as whole new texts of these files. An account
//! that is there stays as it is, but for what a power cut has left out of it. It writes nothing.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::image::Owner;

/// The first id of an ordinary user, as Debian's adduser has it.
const FIRST_ID: u32 = 1000;
/// No password fits this, and `!` says that the password is locked; keys still let in.
const LOCKED: &str = "!*";

/// An account to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Login name.
    pub name: String,
    /// The person, for people.
    pub gecos: String,
    /// Login shell.
    pub shell: String,
}

/// What makes the missing accounts.
#[derive(Debug, Default)]
pub struct Missing {
    /// The folders of home folders and these, with modes and owners.
    pub homes: Vec<(PathBuf, u32, Owner)>,
    /// The changed files.
    pub files: Vec<Table>,
}

/// One of the four files.
#[derive(Debug)]
pub struct Table {
    /// Where it is.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
    /// Its whole text.
    pub text: String,
    changed: bool,
}

/// Finds which of the `accounts` are not there, and what has to be written for them.
///
/// # Errors
/// A file cannot be read, or there is no `/etc/passwd` or `/etc/group`.
pub fn missing(root: &Path, accounts: &[&NewAccount]) -> io::Result<Missing> {
    let mut missing = Missing::default();
    if accounts.is_empty() {
        return Ok(missing);
    }
    let etc = root.join("etc");
    let mut passwd = read(etc.join("passwd"))?;
    let mut group = read(etc.join("group"))?;
    let mut shadows = Vec::new();
    for (file, rest) in [("shadow", ":::::::"), ("gshadow", "::")] {
        match read(etc.join(file)) {
            Ok(table) => shadows.push((table, rest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    for NewAccount { name, gecos, shell } in accounts {
        if let Some(gid) = passwd.gid(name) {
            // Of four files that are renamed one after the other, a power cut may leave any.
            if !group.ids().any(|id| id == gid) {
                group.add(name, &format!("x:{gid}:"));
            }
            for (table, rest) in &mut shadows {
                if table.path.ends_with("shadow") || group.id(name).is_some() {
                    table.add(name, &format!("{LOCKED}{rest}"));
                }
            }
            continue;
        }
        let taken: BTreeSet<_> = passwd.ids().chain(group.ids_but(name)).collect();
        let left_over = group.id(name).filter(|id| *id >= FIRST_ID && !taken.contains(id));
        let free = || (FIRST_ID..u32::MAX).find(|id| !taken.contains(id)).unwrap_or(FIRST_ID);
        let id = left_over.unwrap_or_else(free);
        let gid = group.id(name).unwrap_or(id);
        passwd.add(name, &format!("x:{id}:{gid}:{gecos}:/home/{name}:{shell}"));
        group.add(name, &format!("x:{gid}:"));
        for (table, rest) in &mut shadows {
            table.add(name, &format!("{LOCKED}{rest}"));
        }
        let home = root.join("home");
        missing.homes.push((home.clone(), 0o755, passwd.owner));
        missing.homes.push((home.join(name), 0o700, Owner { uid: id, gid }));
    }
    let tables = shadows.into_iter().map(|(table, _)| table).chain([group, passwd]);
    missing.files = tables.filter(|table| table.changed).collect();
    Ok(missing)
}

fn read(path: PathBuf) -> io::Result<Table> {
    let meta = fs::metadata(&path)?;
    let text = fs::read_to_string(&path)?;
    let owner = Owner { uid: meta.uid(), gid: meta.gid() };
    Ok(Table { path, mode: meta.mode() & 0o7777, owner, text, changed: false })
}

impl Table {
    /// Names and the ids behind them, which are the third field.
    fn entries(&self) -> impl Iterator<Item = (&str, Option<u32>)> {
        self.text.lines().map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().unwrap_or_default();
            (name, fields.nth(1).and_then(|id| id.parse().ok()))
        })
    }

    fn id(&self, name: &str) -> Option<u32> {
        self.entries().find(|(entry, _)| *entry == name).map(|(_, id)| id.unwrap_or_default())
    }

    /// The group of an account, which is the fourth field.
    fn gid(&self, name: &str) -> Option<u32> {
        let line = self.text.lines().find(|line| line.split(':').next() == Some(name))?;
        Some(line.split(':').nth(3).and_then(|id| id.parse().ok()).unwrap_or_default())
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        self.entries().filter_map(|(_, id)| id)
    }

    fn ids_but(&self, name: &str) -> impl Iterator<Item = u32> {
        self.entries().filter(move |(entry, _)| *entry != name).filter_map(|(_, id)| id)
    }

    /// Adds a line, unless an attempt that was cut off has done so.
    fn add(&mut self, name: &str, rest: &str) {
        if self.entries().any(|(entry, _)| entry == name) {
            return;
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.push_str(&format!("{name}:{rest}\n"));
        self.changed = true;
    }
}
