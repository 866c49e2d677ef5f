//! Machines whose KVM gives up after their kernel ran for a while: QEMU pauses them with an internal error, and nothing in
//! them goes on. They are started again, emulated, so it happens to each once.

use std::collections::BTreeSet;

use crate::driver::error::DriverError;
use crate::driver::hardware::{Accel, Accelerator};
use crate::driver::machines::Launch;
use crate::driver::qemu::process::Process;
use crate::driver::qemu::start::Starter;
use crate::driver::state::{NodeState, State};
use crate::results::cluster::NodeJson;

/// Starts broken machines of a cluster again. Returns their names.
pub(super) fn revive(launch: &Launch<'_>) -> Result<BTreeSet<String>, DriverError> {
    let run = &launch.folders.run;
    if broken(launch, &State::load(run)?).is_empty() {
        return Ok(BTreeSet::new());
    }
    let _guard = match launch.folders.guard() {
        // Another `up` does the same, or a `down` ends it.
        Err(DriverError::Busy(_)) => return Ok(BTreeSet::new()),
        guard => guard?,
    };
    let mut state = State::load(run)?;
    let broken = broken(launch, &state);
    for node in &broken {
        again(launch, node, &mut state)?;
    }
    Ok(broken.iter().map(|node| node.name.clone()).collect())
}

fn broken<'a>(launch: &Launch<'a>, state: &State) -> Vec<&'a NodeJson> {
    let is_broken = |node: &&NodeJson| {
        let known = state.nodes.get(&node.name);
        known.is_some_and(|known| is_broken(&launch.folders.process(&node.name), known))
    };
    launch.cluster.nodes.iter().filter(is_broken).collect()
}

/// Ends it in any case: nothing else could be done with it.
fn again(launch: &Launch<'_>, node: &NodeJson, state: &mut State) -> Result<(), DriverError> {
    let (name, process) = (&node.name, launch.folders.process(&node.name));
    let reason = process.kvm_error()?;
    let known = state.nodes.get(name);
    let firmware = known.and_then(|known| known.firmware).unwrap_or(launch.firmware);
    process.end(known.and_then(|known| known.pid))?;
    if launch.request.accel == Accel::Kvm {
        return Err(DriverError::NoKvm(format!("it gave up `{name}` ({reason})")));
    }
    let launch = Launch { firmware, ..*launch };
    Starter::new(&launch, state)?.node(node, &process, Accelerator::Tcg)?;
    process.wait_for_start()?;
    launch.progress.line(&format!("{name}: started again ({}): {reason}", Accelerator::Tcg));
    Ok(())
}

/// Whether KVM gave up a machine. Only those under KVM are asked.
pub(super) fn is_broken(process: &Process, known: &NodeState) -> bool {
    known.accelerator == Some(Accelerator::Kvm) && process.has_internal_error()
}

#[cfg(test)]
mod tests {
    use super::is_broken;
    use crate::driver::hardware::{Accelerator, Firmware};
    use crate::driver::qemu::tests::Machine;
    use crate::driver::state::NodeState;

    #[test]
    fn only_a_machine_that_kvm_gave_up_is_broken() {
        let known = |accelerator| NodeState {
            pid: None,
            image_sha256: "a".repeat(64).parse().unwrap(),
            accelerator: Some(accelerator),
            firmware: Some(Firmware::Bios),
        };
        let machine = Machine::running("internal-error", "");
        assert!(is_broken(&machine.process(), &known(Accelerator::Kvm)));
        assert!(!is_broken(&machine.process(), &known(Accelerator::Tcg)));
        // One that somebody paused is his.
        for status in ["running", "paused", "shutdown"] {
            assert!(!is_broken(&Machine::running(status, "").process(), &known(Accelerator::Kvm)));
        }
        assert!(!is_broken(&Machine::ended("").process(), &known(Accelerator::Kvm)));
    }
}
