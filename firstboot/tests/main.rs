//! firstboot and its library. One program of tests: linking is what takes time.

mod boot;
mod devices;
mod faults;
#[cfg(target_arch = "x86_64")]
mod full_disk;
mod hostile;
mod hostile_seeds;
mod late;
mod machine;
mod metadata;
mod mutated_seeds;
mod nocloud;
mod nocloud_applied;
mod page_cache;
mod peers;
mod platforms;
mod program;
mod refusals;
mod sources;
mod support;
