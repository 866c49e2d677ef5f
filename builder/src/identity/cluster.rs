//! What a cluster has of its secret: the identity of every node, and what opens it to its administrator.

use std::collections::BTreeMap;

use firstboot::schema::Node;

use crate::disk::layout::IDENTITY_SIZE;
use crate::ground::error::{Error, Explain, InputError, Result};
use crate::identity::seed::{self, SeedError};
use crate::identity::{self, IdentityFile};
use crate::pki::secret::ClusterSecret;
use crate::pki::{Issued, Pki, PkiError, PkiOptions, SecretText};
use crate::plan::Plan;
use crate::profile::Identity;

/// What only this cluster has.
#[derive(Debug)]
pub struct Identities {
    /// The identity partition by role; none for seeds.
    pub partitions: BTreeMap<String, Vec<u8>>,
    /// The NoCloud volume by node; none when the images have the identities.
    pub seeds: BTreeMap<String, Vec<u8>>,
    /// For the administrator.
    pub admin: Admin,
}

/// What opens the cluster to its administrator.
#[derive(Debug)]
pub struct Admin {
    /// For the API server.
    pub kubeconfig: SecretText,
    /// The private key for SSH.
    pub ssh_key: SecretText,
    /// The day on which the first certificate ends.
    pub certificates_end: Option<String>,
}

/// The certificates and keys of a plan's cluster.
///
/// # Errors
/// When none can be made.
pub fn pki(plan: &Plan, secret: &ClusterSecret) -> Result<Pki> {
    let mut options = PkiOptions::new(plan.lock.epoch);
    options.encryption = plan.profile.options.encryption;
    options.api_server_names.clone_from(&plan.profile.api.names);
    options.ca_years = plan.profile.pki.authority_years;
    options.leaf_years = plan.profile.pki.certificate_years;
    options.generations.clone_from(&plan.profile.pki.generation);
    Pki::derive(secret, &plan.cluster, plan.certificates(), &options).map_err(|error| of_profile(plan, error))
}

/// What the profile says of certificates is told with its line.
fn of_profile(plan: &Plan, error: PkiError) -> Error {
    let lines = &plan.profile.lines;
    let line = match &error {
        PkiError::UnknownLabel { label, .. } | PkiError::ZeroGeneration(label) => {
            lines.generations.get(label)
        }
        PkiError::Validity { .. } => Some(&lines.validity),
        _ => None,
    };
    let Some(line) = line.copied() else { return error.into() };
    let (path, message) = (plan.profile.path.clone(), format!("`pki`: {error}"));
    InputError::Wrong { path, line, message, hint: error.hint() }.into()
}

impl Identities {
    /// Those of a cluster with a secret.
    ///
    /// # Errors
    /// When there are no certificates for a node, or a partition is too small.
    pub fn of(plan: &Plan, kind: Identity, secret: &ClusterSecret) -> Result<Self> {
        let pki = pki(plan, secret)?;
        let (mut partitions, mut seeds) = (BTreeMap::new(), BTreeMap::new());
        match kind {
            Identity::Baked => {
                for role in &plan.roles {
                    let nodes = plan.cluster.nodes.iter().filter(|node| node.role == role.name);
                    let files = nodes.map(|node| of_node(plan, &pki, node)).collect::<Result<Vec<_>>>()?;
                    partitions.insert(
                        role.name.clone(),
                        identity::partition(&files, plan.lock.epoch, IDENTITY_SIZE)?,
                    );
                }
            }
            Identity::Seed => {
                for node in &plan.cluster.nodes {
                    seeds.insert(node.name.clone(), volume(plan, &pki, node)?);
                }
            }
        }
        let admin = Admin {
            kubeconfig: identity::admin_kubeconfig(&pki, &plan.profile.api.outside)?,
            ssh_key: pki.ssh().private.clone(),
            certificates_end: pki.first_to_end().map(Issued::ends),
        };
        Ok(Self { partitions, seeds, admin })
    }
}

/// The NoCloud volume of one node.
///
/// # Errors
/// [`SeedError`] when the profile has no such node.
pub fn seed(plan: &Plan, secret: &ClusterSecret, node: &str) -> Result<Vec<u8>> {
    let Some(found) = plan.cluster.nodes.iter().find(|known| known.name == node) else {
        let nodes = plan.cluster.nodes.iter().map(|node| node.name.clone()).collect();
        return Err(SeedError { profile: plan.profile.name.clone(), node: node.to_owned(), nodes }.into());
    };
    volume(plan, &pki(plan, secret)?, found)
}

fn of_node(plan: &Plan, pki: &Pki, node: &Node) -> Result<(String, Vec<IdentityFile>)> {
    let files = plan.role_of(node).map(|role| identity::files(pki, &plan.profile.api.endpoint, node, role));
    Ok((node.name.clone(), files.transpose()?.unwrap_or_default()))
}

fn volume(plan: &Plan, pki: &Pki, node: &Node) -> Result<Vec<u8>> {
    let stream = identity::stream(&[of_node(plan, pki, node)?], plan.lock.epoch)?;
    Ok(seed::volume(&plan.cluster, node, &stream, plan.lock.epoch)?)
}
