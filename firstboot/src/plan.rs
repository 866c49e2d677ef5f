//! What is to be done, as plain data: a pure function of the node table, the node's values, the node tree and the
//! identity. It is what `--dry-run` prints and what the record's hash is taken of. It does not know what the disk
//! holds already, so that the same values always make the same plan.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use crate::accounts::NewAccount;
use crate::content::Content;
use crate::facts::Facts;
use crate::files::generated;
use crate::identity::Identity;
use crate::image::{Image, Owner};
use crate::record::RECORD_FILE;
use crate::settings::interface::Account;
use crate::template::{TemplateError, complete};

/// One change of the machine. Paths are relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A folder exists. One that exists already stays as it is: its attributes are the image's.
    EnsureDir {
        /// The folder.
        path: String,
        /// Permission bits of a new one.
        mode: u32,
        /// Owner of a new one.
        owner: Owner,
    },
    /// A file has these bytes, mode and owner.
    WriteFile {
        /// The file.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
        /// Its bytes.
        content: Content,
    },
    /// There is a user account of this name, with a home folder.
    Account(NewAccount),
    /// The running system has this host name.
    SetHostname(String),
}

impl Action {
    /// The account, when it is one that is to be there.
    pub fn account(&self) -> Option<&NewAccount> {
        match self {
            Self::Account(account) => Some(account),
            _ => None,
        }
    }
}

/// A file that everybody may read, and the folders above it.
pub fn public(path: &str, bytes: Vec<u8>, owner: Owner) -> Vec<Action> {
    let parents = path.match_indices('/').map(|(end, _)| path[..end].to_owned());
    let mut actions: Vec<_> = parents.map(|path| Action::EnsureDir { path, mode: 0o755, owner }).collect();
    let content = Content { bytes, secret: false };
    actions.push(Action::WriteFile { path: path.to_owned(), mode: 0o644, owner, content });
    actions
}

/// Everything to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The part that follows from the node's values; it is the same on every boot with the same values.
    pub values: Vec<Action>,
    /// The part that comes from the identity; empty once it has been taken.
    pub identity: Vec<Action>,
}

/// The parts do not make a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file of the node tree is wrong.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Two parts want the same path.
    #[error("/{path} is wanted twice, by {first} and by {second}")]
    Twice {
        /// The path.
        path: String,
        /// Who wants it.
        first: &'static str,
        /// Who wants it too.
        second: &'static str,
    },
}

/// The shell of an account for which none is named.
const SHELL: &str = "/bin/bash";
const FIRSTBOOT: &str = "firstboot itself";
const TREE: &str = "the image's node tree";
const IDENTITY: &str = "the identity";

impl Plan {
    /// Plans the node with the values `facts` on this image.
    ///
    /// # Errors
    /// A file of the node tree cannot be completed, or two parts want the same path.
    pub fn new(image: &Image, facts: &Facts, identity: Option<&Identity>) -> Result<Self, PlanError> {
        let mut paths = Paths::default();
        paths.claim(RECORD_FILE, FIRSTBOOT, false)?;
        let mut values = Part::default();
        for (path, text) in generated(&image.cluster, facts, !image.managed_resolver) {
            paths.claim(&path, FIRSTBOOT, false)?;
            values.file(&path, 0o644, image.owner, Content { bytes: text.into_bytes(), secret: false });
        }
        for entry in &image.tree {
            paths.claim(&entry.path, TREE, entry.content.is_none())?;
            match &entry.content {
                None => values.dir(&entry.path, entry.mode, entry.owner),
                Some(text) => {
                    let bytes = complete(&entry.path, text, facts)?;
                    values.file(&entry.path, entry.mode, entry.owner, Content { bytes, secret: false });
                }
            }
        }
        let mut own = Part::default();
        for entry in identity.map_or(&[][..], |identity| &identity.entries) {
            paths.claim(&entry.path, IDENTITY, entry.content.is_none())?;
            match &entry.content {
                None => own.dir(&entry.path, entry.mode, entry.owner),
                Some(bytes) => {
                    let content = Content { bytes: bytes.clone(), secret: true };
                    own.file(&entry.path, entry.mode, entry.owner, content);
                }
            }
        }
        let mut values = values.actions(image.owner);
        values.extend(facts.accounts.iter().map(|account| {
            let Account { name, gecos, shell, .. } = account.value.clone();
            let shell = if shell.is_empty() { SHELL.to_owned() } else { shell };
            Action::Account(NewAccount { name, gecos, shell })
        }));
        values.push(Action::SetHostname(facts.hostname.value.clone()));
        Ok(Self { values, identity: own.actions(image.owner) })
    }

    /// SHA-256 in hexadecimal of the values' part as it is printed. The identity is not in it: on the next boot,
    /// when the partition is empty, the plan is to be the same.
    pub fn hash(&self) -> String {
        Sha256::digest(print(&self.values)).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// The whole plan as text, without secret bytes.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(&self.values))?;
        f.write_str(&print(&self.identity))
    }
}

fn print(actions: &[Action]) -> String {
    let mut text = String::new();
    for action in actions {
        // Writing to a string cannot fail.
        let _ = match action {
            Action::EnsureDir { path, mode, owner } => {
                writeln!(text, "folder /{path} {mode:04o} {}:{}", owner.uid, owner.gid)
            }
            Action::WriteFile { path, mode, owner, content } => {
                let size = content.bytes.len();
                writeln!(text, "file /{path} {mode:04o} {}:{}, {size} bytes", owner.uid, owner.gid)
            }
            Action::Account(NewAccount { name, gecos, shell }) => {
                writeln!(text, "user {name} {shell} {gecos}")
            }
            Action::SetHostname(name) => writeln!(text, "host name {name}"),
        };
        if let Action::WriteFile { content: Content { bytes, secret: false }, .. } = action {
            for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
                let _ = write!(text, "    | {line}");
            }
            if bytes.last().is_some_and(|byte| *byte != b'\n') {
                text.push_str("\n    (no newline at the end)\n");
            }
        }
    }
    text
}

/// Who wants which path, so that no two do; many may want the same folder.
#[derive(Default)]
struct Paths(BTreeMap<String, (&'static str, bool)>);

impl Paths {
    fn claim(&mut self, path: &str, who: &'static str, is_dir: bool) -> Result<(), PlanError> {
        let parents = path.match_indices('/').map(|(end, _)| (&path[..end], true));
        for (path, is_dir) in parents.chain([(path, is_dir)]) {
            match self.0.get(path) {
                Some((first, other_is_dir)) if !(is_dir && *other_is_dir) => {
                    return Err(PlanError::Twice { path: path.to_owned(), first, second: who });
                }
                Some(_) => {}
                None => {
                    self.0.insert(path.to_owned(), (who, is_dir));
                }
            }
        }
        Ok(())
    }
}

/// The folders and files of one part, each sorted: folders come before what lies in them.
#[derive(Default)]
struct Part {
    dirs: BTreeMap<String, (u32, Owner)>,
    files: BTreeMap<String, Action>,
}

impl Part {
    fn dir(&mut self, path: &str, mode: u32, owner: Owner) {
        self.dirs.insert(path.to_owned(), (mode, owner));
    }

    fn file(&mut self, path: &str, mode: u32, owner: Owner, content: Content) {
        let action = Action::WriteFile { path: path.to_owned(), mode, owner, content };
        self.files.insert(path.to_owned(), action);
    }

    /// Folders that nobody described are ordinary ones.
    fn actions(mut self, ordinary: Owner) -> Vec<Action> {
        let paths: Vec<_> = self.dirs.keys().chain(self.files.keys()).cloned().collect();
        for path in &paths {
            for (end, _) in path.match_indices('/') {
                self.dirs.entry(path[..end].to_owned()).or_insert((0o755, ordinary));
            }
        }
        let dirs = self.dirs.into_iter();
        let dirs = dirs.map(|(path, (mode, owner))| Action::EnsureDir { path, mode, owner });
        dirs.chain(self.files.into_values()).collect()
    }
}
