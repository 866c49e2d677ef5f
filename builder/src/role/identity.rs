//! What a role's recipes say of its nodes' identities, checked as a whole: one recipe's kubeconfig may hold the certificate that
//! another one asks for. It does not know what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::ground::error::InputError;
use crate::ground::input::nearest;
use crate::ground::tree::{Tree, Why};
use crate::pki::{ADMIN, Ca, Certificate, Kubeconfig, Usage};
use crate::role::overlay::UNITS;
use crate::role::recipe::Layer;
use crate::role::stack::Role;

impl Role {
    /// The certificates that its nodes have.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.layers.iter().flat_map(|layer| &layer.image.certificate)
    }

    /// Refuses files at impossible or equal places, and kubeconfigs of certificates that nobody asks for.
    ///
    /// # Errors
    /// [`InputError`] with the recipe and the key.
    pub(crate) fn check_identities(&self) -> Result<(), InputError> {
        let mut taken = BTreeMap::new();
        for layer in &self.layers {
            for (key, file) in files(layer) {
                let parts = file.strip_prefix('/').unwrap_or_default().split('/');
                if parts.into_iter().any(|part| matches!(part, "" | "." | "..")) {
                    return refuse(layer, format!("`{key}` `{file}` is no absolute path"), None);
                }
                if let Some(other) = taken.insert(file.clone(), layer.name.clone()) {
                    let message = format!("`{key}` `{file}` is taken by `{other}`");
                    return refuse(layer, message, None);
                }
            }
            for Kubeconfig { certificate, .. } in &layer.image.kubeconfig {
                let known = self.certificates().find(|known| known.label == *certificate);
                let shows_a_client = known
                    .is_some_and(|known| known.ca == Ca::Kubernetes && known.usage != Usage::Server)
                    || certificate == ADMIN;
                if !shows_a_client {
                    let labels = || self.certificates().map(|known| known.label.as_str()).chain([ADMIN]);
                    let message = format!(
                        "`kubeconfig.certificate` `{certificate}` is no client's certificate of the role `{}`",
                        self.name
                    );
                    let hint = nearest(certificate, labels()).map(|close| format!("did you mean `{close}`?"));
                    return refuse(layer, message, hint);
                }
            }
        }
        Ok(())
    }

    /// Refuses a file of the recipes that names a certificate, key or kubeconfig which the role's nodes do not have: in the
    /// folders where they have some, and in units wherever it is. `own` is what the recipes' folders bring.
    ///
    /// # Errors
    /// [`InputError`] with the file and the line.
    pub(crate) fn check_paths(&self, own: &Tree) -> Result<(), InputError> {
        let there: BTreeSet<String> = self.layers.iter().flat_map(files).map(|(_, file)| file).collect();
        let folders: BTreeSet<&str> = there.iter().filter_map(|file| folder(file)).collect();
        for (to, _, bytes) in own.bytes() {
            let Ok(text) = std::str::from_utf8(bytes) else { continue };
            let unit = Path::new(to).starts_with(UNITS);
            for path in paths(text).filter(|path| is_of_an_identity(path)) {
                let watched = unit || folder(path).is_some_and(|folder| folders.contains(folder));
                if watched && !there.contains(path) && own.get(path).is_none() {
                    return Err(self.unknown_path(own, to, path, &there));
                }
            }
        }
        Ok(())
    }

    /// The file of a recipe that one of its tree is made of.
    fn source(&self, own: &Tree, path: &str) -> Option<PathBuf> {
        let Why::Recipe { recipe, source, .. } = &own.get(path)?.why else { return None };
        self.layers.iter().find(|layer| layer.name == *recipe).map(|layer| layer.folder.join(source))
    }

    fn unknown_path(&self, own: &Tree, to: &str, path: &str, there: &BTreeSet<String>) -> InputError {
        let source = self.source(own, to).unwrap_or_else(|| Path::new(to).to_owned());
        let text = fs::read_to_string(&source).unwrap_or_default();
        let line = text.lines().position(|line| line.contains(path)).map_or(1, |line| line + 1);
        InputError::Wrong {
            path: source,
            line,
            message: format!("no recipe of the role `{}` gives its nodes `{path}`", self.name),
            hint: nearest(path, there.iter().map(String::as_str))
                .map(|close| format!("did you mean `{close}`?")),
        }
    }
}

/// How the names of files end that hold certificates and keys.
const ENDS: [&str; 3] = [".crt", ".key", "kubeconfig"];

fn is_of_an_identity(path: &str) -> bool {
    ENDS.iter().any(|end| path.ends_with(end))
}

fn folder(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

/// The absolute paths in a text, as far as their characters are those of a plain name.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    text.split(move |char| !plain(char)).filter(|word| word.starts_with('/'))
}

/// The files that a recipe asks for, by the key that does.
fn files(layer: &Layer) -> Vec<(&'static str, String)> {
    let image = &layer.image;
    let mut files = Vec::new();
    for stem in image.certificate.iter().filter_map(|certificate| certificate.files.as_ref()) {
        files.extend(["crt", "key"].map(|end| ("certificate.files", format!("{stem}.{end}"))));
    }
    for authority in &image.authority {
        files.push(("authority.certificate", authority.certificate.clone()));
        files.extend(authority.key.clone().map(|key| ("authority.key", key)));
    }
    files.extend(image.kubeconfig.iter().map(|kubeconfig| ("kubeconfig.file", kubeconfig.file.clone())));
    files.extend(image.secret.iter().map(|secret| ("secret.file", secret.file.clone())));
    files
}

fn refuse(layer: &Layer, message: String, hint: Option<String>) -> Result<(), InputError> {
    Err(InputError::Wrong { path: layer.path.clone(), line: 1, message, hint })
}
