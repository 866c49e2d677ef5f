//! `builder up`: the network, then the machines, then waiting for them. The state is written before each start.
//! How they start is the driver's.

use crate::driver::error::DriverError;
use crate::driver::folders::{Folders, select};
use crate::driver::hardware::Firmware;
use crate::driver::machines::{Driver, Launch, refuse_format};
use crate::driver::replace::Replacement;
use crate::driver::request::UpRequest;
use crate::driver::state::State;
use crate::driver::status::{StatusReport, report};
use crate::driver::{registry, wait};
use crate::ground::arch::Arch;
use crate::ground::durable::private_folder;
use crate::ground::progress::Progress;
use crate::results::cluster::ClusterJson;

/// Starts the machines that do not run yet and waits for all that were asked for.
///
/// # Errors
/// [`DriverError`]; what was started until then keeps running, and `down` ends it.
pub fn up(
    driver: &dyn Driver,
    request: &UpRequest<'_>,
    progress: &Progress,
) -> Result<StatusReport, DriverError> {
    let cluster = ClusterJson::load(request.results)?;
    refuse_format(&cluster)?;
    driver.check(request, &cluster)?;
    let firmware = firmware(request.firmware, cluster.arch)?;
    let nodes = select(&cluster, request.node)?;
    let folders = Folders::of(request.results)?;
    wait::check(request.wait, &cluster, &folders, &nodes)?;
    let replacement = match nodes.first().filter(|_| request.replace) {
        Some(node) => Some(Replacement::begin(request, &cluster, &folders, node, progress)?),
        None => None,
    };
    private_folder(&folders.run)?;
    let launch = Launch { request, cluster: &cluster, folders: &folders, firmware, progress };
    let started = {
        let _guard = folders.guard()?;
        let mut state = State::load(&folders.run)?;
        registry::adopt(&mut state, driver, &folders, &cluster.name)?;
        driver.start(&launch, &nodes, &mut state)?
    };
    wait::wait(driver, &launch, &nodes, started)?;
    if let Some(replacement) = replacement {
        replacement.finish()?;
    }
    let report = report(&cluster, &folders)?;
    for node in report.nodes.iter().filter(|node| node.older) {
        let (results, name) = (folders.arguments(), &node.name);
        progress.line(&format!(
            "{name}: its disk is of an older image; `builder up {results} --replace {name}` gives it the new one"
        ));
    }
    Ok(report)
}

/// What machines boot with: what was asked for, else what comes first with the architecture.
fn firmware(wanted: Option<Firmware>, arch: Arch) -> Result<Firmware, DriverError> {
    match (arch, wanted) {
        (Arch::Amd64, wanted) => Ok(wanted.unwrap_or(Firmware::Bios)),
        (Arch::Arm64, Some(Firmware::Bios)) => Err(DriverError::NoBios(arch)),
        (Arch::Arm64, _) => Ok(Firmware::Uefi),
    }
}
