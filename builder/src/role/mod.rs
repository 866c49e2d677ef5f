//! A role: the recipe of an image, read from `images/<role>/`.
//!
//! A recipe is data: `image.toml` beside the folders `files/` (copied to `/`), `units/` (to /etc/systemd/system) and
//! `node/` (completed by firstboot). `parts` puts other recipes beneath. It does not know where a component's
//! files come from, nor what the base root file system holds.

pub mod addon;
pub mod component;
mod identity;
mod overlay;
pub mod packages;
pub mod recipe;
mod render;
pub mod settings;
mod stack;

pub use addon::Addon;
pub use component::{ComponentFile, Components};
pub use overlay::{UNITS, overlay, own_files};
pub use recipe::{ADDONS, IMAGES, Layer, ROLES, Recipes};
pub use render::{Context, at_least};
pub use stack::Role;
