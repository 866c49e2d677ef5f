//! Which package roots of the lock the images of some roles take.

use std::collections::BTreeSet;

use crate::deb::roots::{EMULATOR, GRUB, TOOLS};
use crate::ground::arch::Arch;
use crate::role::Role;

/// The package roots that a build of images of some roles for an architecture uses, with that of their packages.
pub(super) fn roots(roles: &[Role], arch: Arch) -> BTreeSet<(String, Arch)> {
    let bases = roles.iter().flat_map(Role::package_roots).map(|root| (root, arch));
    let tools = [(TOOLS, Arch::HOST)];
    let foreign = [(EMULATOR, Arch::HOST), (GRUB, arch)].into_iter().filter(|_| arch != Arch::HOST);
    bases.chain(tools.into_iter().chain(foreign).map(|(root, arch)| (root.to_owned(), arch))).collect()
}
