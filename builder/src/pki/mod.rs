//! The certificates and keys of a cluster as a pure function of its secret, its nodes and a few options.
//!
//! It owns derivation, issuing and the texts of kubeconfigs and of the encryption configuration. It does not own the
//! secret's file ([`secret`]) or which file goes to which node ([`identity`](crate::identity)).
//!
//! # Labels
//! A key is a function of the cluster secret, its label and the label's generation (4 bytes, big endian, from 1):
//! HKDF-SHA256 with salt `kiln/v1` and info = label ‖ generation. The labels are a part of the format, since another
//! label is another key. Those of the first, second and last two lines are of every cluster; the recipes ask for the others:
//!
//! | label | what it is |
//! |---|---|
//! | `kubernetes-ca`, `etcd-ca`, `front-proxy-ca` | the three authorities |
//! | `admin` | the administrator, in `system:masters` |
//! | `kube-api-server` | the API server's serving certificate |
//! | `kube-apiserver-kubelet-client`, `kube-apiserver-etcd-client`, `front-proxy-client` | what the API server shows to kubelets, to etcd and to extension API servers |
//! | `kube-controller-manager`, `kube-scheduler`, `kube-proxy` | the components' client certificates |
//! | `service-accounts` | signs service account tokens |
//! | `node/NAME` | a kubelet, as client and as server |
//! | `etcd-server/NAME`, `etcd-peer/NAME` | an etcd member |
//! | `load-balancer/NAME` | what a load balancer shows to the API servers |
//! | `ssh/admin` | the administrator's SSH key |
//! | `encryption/aescbc`, `encryption/secretbox` | 32-byte keys of the encryption at rest |
//!
//! Serial numbers are 20 bytes of info = label ‖ `#serial` ‖ generation ‖ SHA-256 of the certificate issued with serial
//! number 1: another content is another serial number.

mod certs;
mod encryption;
mod error;
mod issue;
mod key;
mod kubeconfig;
mod options;
pub mod secret;
mod ssh;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use firstboot::schema::{Cluster, Node};

use crate::ground::parallel;
use crate::profile::Encryption;
pub use certs::{ADMIN, Authority, Ca, Certificate, Kubeconfig, Names, Secret, SecretName, Usage, for_node};
pub use error::PkiError;
pub use issue::Issued;
pub use key::SecretText;
use options::DAY;
pub use options::PkiOptions;
use secret::ClusterSecret;
pub use ssh::SshKey;

/// Certificates with less time left are worth a warning: 180 days, in seconds.
const WARN_BELOW: i64 = 180 * DAY;

/// Every certificate and key of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pki {
    cluster: String,
    issued: BTreeMap<String, Issued>,
    encryption_config: SecretText,
    ssh: SshKey,
}

impl Pki {
    /// Derives all of it: what recipes have `asked` for, for each node with one, and what every cluster has. Equal arguments give
    /// equal bytes.
    ///
    /// # Errors
    /// [`PkiError`] for a cluster or options that no certificates can be made for.
    pub fn derive<'a>(
        secret: &ClusterSecret,
        cluster: &Cluster,
        asked: impl IntoIterator<Item = (&'a Node, &'a Certificate)>,
        options: &PkiOptions,
    ) -> Result<Self, PkiError> {
        let certificates = certs::of(cluster, asked, &options.api_server_names)?;
        check_generations(options, &certificates)?;
        let authorities = issue::authorities(secret, &cluster.name, options)?;
        let leaf = |certificate: &certs::Leaf| {
            let leaf = issue::leaf(secret, certificate, &authorities, options)?;
            Ok((certificate.label.clone(), leaf))
        };
        // Most of the time of a build in which nothing has changed.
        let mut issued =
            parallel::map(&certificates, leaf).into_iter().collect::<Result<BTreeMap<_, _>, _>>()?;
        issued
            .extend(authorities.into_values().map(|authority| (authority.label(), authority.into_issued())));
        let encryption_config = encryption::config(secret, options);
        let ssh = ssh::admin(secret, &cluster.name, options);
        Ok(Self { cluster: cluster.name.clone(), issued, encryption_config, ssh })
    }

    /// A certificate with its key.
    ///
    /// # Errors
    /// [`PkiError::NotIssued`] when this cluster has none with that label.
    pub fn issued(&self, label: &str) -> Result<&Issued, PkiError> {
        self.issued.get(label).ok_or_else(|| PkiError::NotIssued(label.to_owned()))
    }

    /// The text of the API server's encryption configuration.
    #[must_use]
    pub fn encryption_config(&self) -> &SecretText {
        &self.encryption_config
    }

    /// The administrator's key for SSH.
    #[must_use]
    pub fn ssh(&self) -> &SshKey {
        &self.ssh
    }

    /// The text of a kubeconfig for the holder of a client certificate, with the API server at a URL.
    ///
    /// # Errors
    /// [`PkiError::NotIssued`] when this cluster has no certificate with that label.
    pub fn kubeconfig(&self, label: &str, server: &str) -> Result<SecretText, PkiError> {
        let authority = self.issued(certs::Ca::Kubernetes.label())?;
        Ok(kubeconfig::render(&self.cluster, server, &authority.certificate, self.issued(label)?))
    }

    /// All certificates, sorted by their labels.
    pub fn list(&self) -> impl Iterator<Item = &Issued> {
        self.issued.values()
    }

    /// The one that ends first.
    #[must_use]
    pub fn first_to_end(&self) -> Option<&Issued> {
        self.list().min_by_key(|issued| issued.not_after)
    }

    /// The certificates that end within 180 days after `now` (Unix seconds), or have ended by then.
    pub fn expiring(&self, now: i64) -> impl Iterator<Item = &Issued> {
        self.list().filter(move |issued| issued.not_after.saturating_sub(now) < WARN_BELOW)
    }
}

/// Refuses recipes that contradict each other in what certificates their nodes have.
///
/// # Errors
/// [`PkiError::Conflict`].
pub fn check<'a>(
    cluster: &Cluster,
    asked: impl IntoIterator<Item = (&'a Node, &'a Certificate)>,
) -> Result<(), PkiError> {
    certs::of(cluster, asked, &[]).map(drop)
}

/// A typing error must not rotate nothing.
fn check_generations(options: &PkiOptions, certificates: &[certs::Leaf]) -> Result<(), PkiError> {
    let known: Vec<&str> = (certificates.iter().map(|certificate| certificate.label.as_str()))
        .chain(certs::Ca::ALL.map(certs::Ca::label))
        .chain(Encryption::ALL.map(Encryption::label))
        .chain([ssh::LABEL])
        .collect();
    for (label, generation) in &options.generations {
        if !known.contains(&label.as_str()) {
            let nearest = crate::ground::input::nearest(label, known.iter().copied()).map(str::to_owned);
            return Err(PkiError::UnknownLabel { label: label.clone(), nearest });
        }
        if *generation == 0 {
            return Err(PkiError::ZeroGeneration(label.clone()));
        }
    }
    Ok(())
}
