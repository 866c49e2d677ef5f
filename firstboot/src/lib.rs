//! `firstboot` turns a role image into one particular node at its first boot: source → facts → plan → apply.
//!
//! The library owns the node schema that `builder` bakes into every image. It reads from directories and devices
//! that are parameters and writes under a `root` that is one too, so that tests need neither a machine nor root.

pub mod accounts;
pub mod apply;
pub mod args;
pub mod card;
pub mod cloud;
pub mod cluster;
pub mod console;
pub mod content;
pub mod error;
pub mod facts;
pub mod files;
pub mod header;
pub mod http;
pub mod identity;
pub mod identity_origin;
pub mod image;
pub mod machine;
pub mod networkd;
pub mod ops;
pub mod peers;
pub mod plan;
pub mod record;
pub mod resolved;
pub mod run;
pub mod schema;
pub mod seed;
pub mod settings;
pub mod source;
pub mod status;
pub mod system;
pub mod template;
pub mod volume;
pub mod wait;
