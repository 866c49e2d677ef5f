//! `builder lock diff`, `add`, `audit` and `outdated` on small projects, without a network.

mod add;
mod audit;
mod diff;
mod outdated;
#[path = "../store/project.rs"]
mod project;
#[path = "../fetch/web.rs"]
mod site;
