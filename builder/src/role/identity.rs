//! What a role's recipes say of its nodes' identities, checked as a whole: one recipe's kubeconfig may hold the certificate that
//! another one asks for. It does not know what is in them.

use std::collections::BTreeMap;

use crate::ground::error::InputError;
use crate::ground::input::nearest;
use crate::pki::{ADMIN, Ca, Certificate, Kubeconfig, Usage};
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
