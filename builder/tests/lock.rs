//! The project's own lockfile, and lockfiles that must be refused.

use std::path::Path;

use builder::lock::Lock;

/// The checkout.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_projects_lock_is_read() {
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    assert!(lock.release.contains_key(&lock.default_release));
}
