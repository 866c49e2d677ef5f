//! Machines whose KVM gives up after their kernel ran for a while: QEMU pauses them with an internal error, and nothing in
//! them goes on. They are started again, emulated, so it happens to each once.

use std::collections::BTreeSet;
use std::path::Path;

use crate::driver::error::DriverError;
use crate::driver::process::Process;
use crate::driver::state::{NodeState, State};
use crate::driver::up::{Starter, UpRequest};
use crate::driver::{Accel, Accelerator, Firmware, Folders};
use crate::ground::progress::Progress;
use crate::results::cluster::{ClusterJson, NodeJson};

/// Looks after the machines of a cluster that run under KVM.
pub(super) struct Rescue<'a> {
    pub(super) request: &'a UpRequest<'a>,
    pub(super) firmware: Firmware,
    pub(super) root: &'a Path,
    pub(super) cluster: &'a ClusterJson,
    pub(super) folders: &'a Folders,
    pub(super) progress: &'a Progress,
}

impl Rescue<'_> {
    /// Starts broken machines again. Returns their names.
    pub(super) fn look(&self) -> Result<BTreeSet<String>, DriverError> {
        if self.broken(&State::load(&self.folders.run)?).is_empty() {
            return Ok(BTreeSet::new());
        }
        let _guard = match self.folders.guard() {
            // Another `up` does the same, or a `down` ends it.
            Err(DriverError::Busy(_)) => return Ok(BTreeSet::new()),
            guard => guard?,
        };
        let mut state = State::load(&self.folders.run)?;
        let broken = self.broken(&state);
        for node in &broken {
            self.again(node, &mut state)?;
        }
        Ok(broken.iter().map(|node| node.name.clone()).collect())
    }

    fn broken(&self, state: &State) -> Vec<&NodeJson> {
        let is_broken = |node: &&NodeJson| {
            let known = state.nodes.get(&node.name);
            known.is_some_and(|known| is_broken(&self.folders.process(&node.name), known))
        };
        self.cluster.nodes.iter().filter(is_broken).collect()
    }

    /// Ends it in any case: nothing else could be done with it.
    fn again(&self, node: &NodeJson, state: &mut State) -> Result<(), DriverError> {
        let (name, process) = (&node.name, self.folders.process(&node.name));
        let reason = process.kvm_error()?;
        let known = state.nodes.get(name);
        let firmware = known.and_then(|known| known.firmware).unwrap_or(self.firmware);
        process.end(known.and_then(|known| known.pid))?;
        if self.request.accel == Accel::Kvm {
            return Err(DriverError::NoKvm(format!("it gave up `{name}` ({reason})")));
        }
        let Self { request, root, cluster, folders, progress, .. } = *self;
        Starter { request, firmware, root, cluster, folders, state }.node(
            node,
            &process,
            Accelerator::Tcg,
        )?;
        process.wait_for_start()?;
        progress.line(&format!("{name}: started again ({}): {reason}", Accelerator::Tcg));
        Ok(())
    }
}

/// Whether KVM gave up a machine. Only those under KVM are asked.
pub(super) fn is_broken(process: &Process, known: &NodeState) -> bool {
    known.accelerator == Some(Accelerator::Kvm) && process.has_internal_error()
}

#[cfg(test)]
mod tests {
    use super::is_broken;
    use crate::driver::tests::Machine;
    use crate::driver::{Accelerator, Firmware, state::NodeState};

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
