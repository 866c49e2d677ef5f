//! The program and the library, without a network and without machines. One program of tests: linking is what takes time.

mod addons;
mod again;
mod cli;
mod explain;
mod fetch;
mod host_drivers;
mod hostile;
mod lock;
mod lock_tools;
mod modules;
mod oci;
mod project;
mod promises;
mod recipes;
mod script;
mod skip;
mod store;
