//! What is in the images of a plan, and what it is for: each file, unit, certificate and flag, with what its recipe's
//! `explain.toml` says of it.
//!
//! Everything follows from the plan and the recipes: nothing is fetched or built for it, and no image depends on it.

mod component;
mod entry;
mod flag;
pub mod guide;
mod name;
mod thing;

use std::collections::BTreeMap;

use crate::ground::error::Result;
use crate::plan::Plan;
use crate::role::Layer;
use crate::stage::tree::trees;
pub use entry::{Entry, Explanation, FILE, Kind, entries};
pub use name::Unknown;
pub use thing::{Origin, Thing};

use entry::Explanations;

/// Everything in the images of a plan, by the recipe that explains it, else brings it, then by kind and name.
///
/// # Errors
/// A wrong `explain.toml`, or what a build refuses about its trees.
pub fn things(plan: &Plan) -> Result<Vec<Thing>> {
    let mut order: Vec<&Layer> = Vec::new();
    for layer in plan.roles.iter().flat_map(|role| &role.layers) {
        if order.iter().all(|known| known.name != layer.name) {
            order.push(layer);
        }
    }
    let explanations = Explanations::load(&order)?;
    let mut things = BTreeMap::new();
    for (role, tree) in plan.roles.iter().zip(trees(plan, &component::files(plan))?) {
        for found in thing::found(plan, role, &tree, &explanations) {
            // A link without a text of its own is explained by what it leads to.
            let (explained, explanation) = explanations.of(found.kind, found.names(), found.recipe()).unzip();
            let recipe = explanation.as_ref().map(|it: &Explanation| &*it.recipe).or(found.recipe());
            let place = order.iter().position(|layer| Some(&*layer.name) == recipe);
            let key = (place, found.kind, found.name.clone(), explained);
            things.entry(key).or_insert_with(|| Thing::new(&found, explanation)).add(plan, role, found);
        }
    }
    Ok(things.into_values().collect())
}
