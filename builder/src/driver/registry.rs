//! Which drivers there are, by their names.

use std::path::Path;

use crate::driver::error::DriverError;
use crate::driver::folders::{Folders, RUN, arguments};
use crate::driver::libvirt::LIBVIRT;
use crate::driver::machines::{Driver, Machines};
use crate::driver::multipass::MULTIPASS;
use crate::driver::names;
use crate::driver::qemu::QEMU;
use crate::driver::state::State;

/// All drivers; the first is what runs machines when nobody says otherwise.
pub const DRIVERS: [&dyn Driver; 3] = [&QEMU, &LIBVIRT, &MULTIPASS];

/// The driver of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Driver> {
    DRIVERS.into_iter().find(|driver| driver.name() == name || driver.alias() == Some(name))
}

/// The driver that has the machines of a folder.
pub(super) fn of(state: &State, run: &Path) -> Result<&'static dyn Driver, DriverError> {
    named(&state.driver).ok_or_else(|| DriverError::State {
        path: run.to_owned(),
        message: format!("there is no driver `{}`", state.driver),
    })
}

/// The machines of a folder.
pub(super) fn machines<'a>(
    folders: &'a Folders,
    state: &State,
) -> Result<Box<dyn Machines + 'a>, DriverError> {
    Ok(of(state, &folders.run)?.machines(folders, state))
}

/// From now on `driver` runs the machines of the cluster. Those of another one must have been deleted.
pub(super) fn adopt(
    state: &mut State,
    driver: &dyn Driver,
    folders: &Folders,
    cluster: &str,
) -> Result<(), DriverError> {
    let runs = of(state, &folders.run)?.name();
    if runs == driver.name() && !state.prefix.is_empty() {
        return Ok(());
    }
    if runs != driver.name() && state.has_machines() {
        return Err(DriverError::OtherDriver { results: folders.arguments(), runs, driver: driver.name() });
    }
    state.driver = driver.name().to_owned();
    state.prefix = names::prefix(cluster);
    Ok(())
}

/// The driver of a folder of results: the one that has machines of it, else `wanted`, else the first.
///
/// # Errors
/// [`DriverError::OtherDriver`] when that is not the one that was asked for.
pub fn expect(
    results: &Path,
    wanted: Option<&'static dyn Driver>,
) -> Result<&'static dyn Driver, DriverError> {
    let run = results.join(RUN);
    let state = State::load(&run)?;
    let runs = of(&state, &run)?;
    match wanted {
        Some(driver) if !state.has_machines() => Ok(driver),
        Some(driver) if driver.name() != runs.name() => Err(DriverError::OtherDriver {
            results: arguments(results),
            runs: runs.name(),
            driver: driver.name(),
        }),
        _ => Ok(runs),
    }
}
