//! A thing in the images: a file, unit, certificate or flag, with its names and the recipes and roles that it comes from.

use std::collections::BTreeSet;

use firstboot::schema::{self, NODE_TREE};
use serde::Serialize;

use crate::explain::entry::{Explanation, Explanations, FILE, Kind};
use crate::explain::flag::{flags, visible};
use crate::ground::tree::{Entry, Node, Why};
use crate::identity::ADMIN_KEYS;
use crate::pki::{ADMIN, for_node};
use crate::plan::Plan;
use crate::role::{Role, UNITS};
use crate::stage::tree::RoleTree;

/// A thing in the images of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Thing {
    /// What kind of thing it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// What else it is called.
    #[serde(skip)]
    pub(super) others: BTreeSet<String>,
    /// Where it comes from, each once.
    pub origins: Vec<Origin>,
    /// What is said of it; nothing where nobody has written it.
    pub explanation: Option<Explanation>,
}

/// Where a thing comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The recipe that brings it; none for what Kiln itself brings.
    pub recipe: Option<String>,
    /// The file that it is made of or that asks for it, or who writes it.
    pub source: String,
    /// The component that it is a file of.
    pub component: Option<String>,
    /// What a flag is set to, or a link leads to.
    pub value: Option<String>,
    /// The roles whose machines have it.
    pub roles: Vec<String>,
}

impl Thing {
    pub(super) fn new(found: &Found, explanation: Option<Explanation>) -> Self {
        let (kind, name) = (found.kind, found.name.clone());
        Self { kind, name, others: BTreeSet::new(), origins: Vec::new(), explanation }
    }

    /// The same in another role, or from another recipe.
    pub(super) fn add(&mut self, plan: &Plan, role: &Role, found: Found) {
        self.others.extend(found.others);
        let (recipe, source, component) = match found.why {
            Why::Kiln => (None, "Kiln itself".to_owned(), None),
            Why::Recipe { recipe, source, component } => {
                let folder = role.layers.iter().find(|layer| layer.name == recipe).map(|layer| &layer.folder);
                let source = folder.map_or(source.clone().into(), |folder| folder.join(source));
                // The project's own are named as from its folder.
                let source = source.strip_prefix(&plan.project).unwrap_or(&source).display().to_string();
                (Some(recipe), source, component)
            }
        };
        let source = found.writer.unwrap_or(source);
        let mut origin =
            Origin { recipe, source, component, value: found.value.or(found.link), roles: vec![] };
        let known = self.origins.iter_mut().find(|known| {
            origin.roles.clone_from(&known.roles);
            **known == origin
        });
        match known {
            Some(known) if known.roles.contains(&role.name) => {}
            Some(known) => known.roles.push(role.name.clone()),
            None => {
                origin.roles = vec![role.name.clone()];
                self.origins.push(origin);
            }
        }
    }

    /// The first machine of the plan that has it.
    #[must_use]
    pub fn machine<'a>(&self, plan: &'a Plan) -> Option<&'a schema::Node> {
        let has = |node: &&schema::Node| self.origins.iter().any(|origin| origin.roles.contains(&node.role));
        plan.cluster.nodes.iter().find(has)
    }
}

/// A thing of one role.
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) others: BTreeSet<String>,
    why: Why,
    /// Where a link leads to.
    link: Option<String>,
    /// What a flag is set to.
    value: Option<String>,
    /// Who writes it when a machine boots.
    writer: Option<String>,
}

impl Found {
    fn new(kind: Kind, name: impl Into<String>, why: &Why) -> Self {
        let (others, why) = (BTreeSet::new(), why.clone());
        Self { kind, name: name.into(), others, why, link: None, value: None, writer: None }
    }

    /// Its name, and what it leads to.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        [Some(&self.name), self.link.as_ref()].into_iter().flatten().map(String::as_str)
    }

    /// The recipe that brings it.
    pub(super) fn recipe(&self) -> Option<&str> {
        match &self.why {
            Why::Kiln => None,
            Why::Recipe { recipe, .. } => Some(recipe),
        }
    }
}

/// Everything in the images of a role.
pub(super) fn found(plan: &Plan, role: &Role, tree: &RoleTree, explanations: &Explanations) -> Vec<Found> {
    let mut all = of_tree(tree);
    all.extend(of_identities(plan, role));
    for layer in &role.layers {
        let why = by(&layer.name, FILE);
        all.extend(explanations.written_at_boot(&layer.name).map(|(name, writer)| Found {
            writer: Some(format!("written at boot by {writer}")),
            ..Found::new(Kind::File, name, &why)
        }));
    }
    all
}

fn by(recipe: &str, source: &str) -> Why {
    Why::Recipe { recipe: recipe.to_owned(), source: source.to_owned(), component: None }
}

/// Files, units and their flags.
fn of_tree(RoleTree { overlay, .. }: &RoleTree) -> Vec<Found> {
    let mut all = Vec::new();
    for (path, entry) in overlay.entries() {
        let below = path.strip_prefix(UNITS).and_then(|path| path.strip_prefix('/'));
        match below.map(|below| below.rsplit_once('/').ok_or(below)) {
            Some(Err(unit)) => {
                let mut found = of_entry(Kind::Unit, unit.to_owned(), entry);
                found.others.insert(path.to_owned());
                found.others.extend(unit.strip_suffix(".service").map(str::to_owned));
                all.push(found);
                all.extend(flags(unit, entry, overlay).into_iter().map(|flag| {
                    let mut found = Found::new(Kind::Flag, &*flag.name, &flag.by.why);
                    found.others.extend(flag.name.split_once(':').map(|(_, name)| name.to_owned()));
                    found.value = flag.value;
                    found
                }));
            }
            // What starts a unit of the image is the unit's own.
            Some(Ok((_, unit)))
                if matches!(entry.node, Node::Link { .. })
                    && overlay.get(&format!("{UNITS}/{unit}")).is_some() => {}
            _ => {
                let mut found = of_entry(Kind::File, format!("/{}", visible(path)), entry);
                found.others.extend(path.starts_with(NODE_TREE).then(|| path.to_owned()));
                all.push(found);
            }
        }
    }
    all
}

fn of_entry(kind: Kind, name: String, entry: &Entry) -> Found {
    let mut found = Found::new(kind, name, &entry.why);
    if let Node::Link { target } = &entry.node {
        found.link = Some(target.clone());
    }
    found
}

/// Certificates, and the files that a node's identity brings.
fn of_identities(plan: &Plan, role: &Role) -> Vec<Found> {
    let mut all = vec![Found::new(Kind::File, ADMIN_KEYS, &Why::Kiln)];
    let nodes = || plan.cluster.nodes.iter().filter(|node| node.role == role.name);
    for layer in &role.layers {
        let (why, image) = (by(&layer.name, &layer.file_name()), &layer.image);
        let mut add = |kind, name: &str| all.push(Found::new(kind, name, &why));
        for authority in &image.authority {
            add(Kind::Certificate, authority.ca.label());
            add(Kind::File, &authority.certificate);
            authority.key.iter().for_each(|key| add(Kind::File, key));
        }
        for kubeconfig in &image.kubeconfig {
            add(Kind::File, &kubeconfig.file);
            if kubeconfig.certificate == ADMIN {
                add(Kind::Certificate, ADMIN);
            }
        }
        image.secret.iter().for_each(|secret| add(Kind::File, &secret.file));
        for certificate in &image.certificate {
            let mut found = Found::new(Kind::Certificate, &*certificate.label, &why);
            found.others.extend(nodes().map(|node| for_node(&certificate.label, node)));
            let files = certificate.files.iter();
            found.others.extend(files.flat_map(|stem| ["crt", "key"].map(|end| format!("{stem}.{end}"))));
            all.push(found);
        }
    }
    all
}
