//! The Debian packages of recipes: which root of the lock holds those of each. A role's base root file system has the
//! packages of all its recipes and of nobody else's. It does not know how packages are resolved or installed.

use std::collections::{BTreeMap, BTreeSet};

use crate::ground::error::InputError;
use crate::ground::input;
use crate::role::recipe::{Image, Recipes};

/// The recipe beneath every role, and the root of the lock with its packages.
pub const BASE: &str = "base";

/// What the names of the other recipes' roots begin with.
const PREFIX: &str = "base-";

/// The root of the lock with the packages of a recipe.
pub(super) fn root(recipe: &str) -> String {
    if recipe == BASE { BASE.to_owned() } else { format!("{PREFIX}{}", recipe.replace('/', "-")) }
}

/// Whether a root of the lock follows from a recipe.
#[must_use]
pub fn is_of_recipe(root: &str) -> bool {
    root == BASE || of_part(root).is_some()
}

/// The recipe that a root of the lock is of; none for `base` and for roots that are of none.
#[must_use]
pub fn of_part(root: &str) -> Option<&str> {
    root.strip_prefix(PREFIX)
}

/// What the recipes of a project ask for, by the root of the lock. `base` is among them, whatever it asks for.
///
/// # Errors
/// [`InputError`] for a recipe that is wrong, or no recipe `base`.
pub fn requests(recipes: &Recipes) -> Result<BTreeMap<String, BTreeSet<String>>, InputError> {
    recipes.check()?;
    let mut requests = BTreeMap::new();
    for name in recipes.names().into_iter().chain([BASE.to_owned()]) {
        let path = recipes.file(&name);
        let image: Image = input::parse(&path, &input::read(&path, || recipes.missing(&name))?)?;
        if name == BASE || !image.packages.include.is_empty() {
            requests.insert(root(&name), image.packages.include.into_iter().collect());
        }
    }
    Ok(requests)
}
