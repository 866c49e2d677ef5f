//! Bills of materials: what is in each image, package by package, program by program, down to the Go modules and crates that
//! were compiled in, as SPDX 2.3 and CycloneDX 1.6. The same image has the same bills. What is in an image is decided
//! elsewhere; here it is told.

mod cyclonedx;
mod error;
mod licence;
mod parts;
mod spdx;

use std::path::Path;

use crate::ground::durable::public;
use crate::ground::error::Result;
use crate::plan::Plan;
use crate::results::image::Image;
use crate::results::report::sbom_files;
use crate::role::Components;
use crate::stage::base::Base;
use crate::store::Store;
pub use error::SbomError;
pub use licence::key as licences_key;
use parts::Bill;

/// Writes the bills of some images into their folder; `bases` are those of the plan's roles.
///
/// # Errors
/// [`SbomError`] when a program has a module in it that the lock does not, or when a file cannot be read or written.
pub fn write(
    plan: &Plan,
    store: &Store,
    (components, bases): (&Components, &[Base]),
    (folder, images): (&Path, &[Image]),
) -> Result<()> {
    for (role, base) in plan.roles.iter().zip(bases) {
        let Some(image) = images.iter().find(|image| image.role == role.name) else { continue };
        let bill = Bill::of(plan, role, image, components, &licence::of_packages(store, base)?)?;
        let [spdx, cyclonedx] = sbom_files(&role.name);
        for (file, document) in [(spdx, spdx::document(&bill)), (cyclonedx, cyclonedx::document(&bill))] {
            let text = serde_json::to_string_pretty(&document).map_err(std::io::Error::from)? + "\n";
            public(&folder.join(file), text.as_bytes())?;
        }
    }
    Ok(())
}
