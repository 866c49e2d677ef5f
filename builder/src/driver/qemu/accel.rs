//! Whether hardware virtualisation works here. A host can have /dev/kvm and yet run no machine: QEMU refuses, or firmware
//! runs and no kernel. So a machine is started, and its kernel has to speak. What breaks later belongs to
//! [`rescue`](super::rescue).

use std::path::Path;
use std::time::Duration;

use fs_err as fs;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::hardware::{Accel, Accelerator, Firmware};
use crate::driver::machines::{Launch, image_of};
use crate::driver::poll::until;
use crate::driver::qemu::places::{controlled, places};
use crate::driver::qemu::process::{Control, KVM, Process};
use crate::driver::qemu::{disk, machine};
use crate::driver::serial;
use crate::ground::arch::Arch;
use crate::ground::durable::private_folder;
use crate::ground::progress::Progress;
use crate::results::cluster::NodeJson;
use crate::sandbox::Sandbox;

/// The test machine's name and folder below `run`, which no node has: a fixed one, so that `down` finds what an
/// interrupted `up` left.
const PROBE: &str = "_kvm";

/// A kernel speaks after a second or two; where KVM is itself emulated, later.
const PATIENCE: Duration = Duration::from_secs(20);

/// The device may be used.
///
/// # Errors
/// Why not.
pub fn open_kvm() -> std::io::Result<()> {
    fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").map(drop)
}

/// Settles how the processors of an architecture run. `try_kvm` says why KVM does not work, none when it does.
pub(super) fn choose(
    wanted: Accel,
    arch: Arch,
    progress: &Progress,
    try_kvm: impl FnOnce() -> Result<Option<String>, DriverError>,
) -> Result<Accelerator, DriverError> {
    match wanted {
        Accel::Tcg => return Ok(Accelerator::Tcg),
        Accel::Auto if arch != Arch::HOST => return Ok(Accelerator::Tcg),
        Accel::Kvm if arch != Arch::HOST => {
            return Err(DriverError::NoKvm(format!("it is {}, and the machines are {arch}", Arch::HOST)));
        }
        Accel::Auto | Accel::Kvm => (),
    }
    match (try_kvm()?, wanted) {
        (None, _) => Ok(Accelerator::Kvm),
        (Some(reason), Accel::Kvm) => Err(DriverError::NoKvm(reason)),
        (Some(reason), _) => {
            progress.line(&format!("machines are emulated: {reason}"));
            Ok(Accelerator::Tcg)
        }
    }
}

/// Ends a test machine that an interrupted attempt left.
pub(super) fn clean(folders: &Folders) -> Result<(), DriverError> {
    let probe = folders.process(PROBE);
    if probe.folder.exists() {
        probe.end(None)?;
        fs::remove_dir_all(&probe.folder)?;
    }
    Ok(())
}

/// Starts a node's machine under KVM, on a disk that is thrown away, until its kernel speaks. Says why it does not.
pub(super) fn try_node(
    launch: &Launch<'_>,
    node: &NodeJson,
    root: &Path,
) -> Result<Option<String>, DriverError> {
    let Launch { request, cluster, folders, firmware, .. } = *launch;
    if let Err(error) = open_kvm() {
        return Ok(Some(error.to_string()));
    }
    clean(folders)?;
    // Nothing is on the disk but its image, and no kernel has come to its settings when it speaks first.
    let node =
        NodeJson { name: PROBE.to_owned(), disk_mib: None, data_disk_mib: None, seed: None, ..node.clone() };
    let process = folders.process(PROBE);
    private_folder(&process.folder)?;
    disk::ensure(folders, &node, image_of(cluster, folders, &node)?, root)?;
    if firmware == Firmware::Uefi {
        disk::ensure_firmware(folders, cluster.arch, &node, root)?;
    }
    let mut argv = machine::machine(cluster.arch, &node, Accelerator::Kvm, firmware, &places());
    // A kernel that a fault resets has failed.
    argv.push("-no-reboot".to_owned());
    argv.extend_from_slice(request.options);
    let pid = process.start_qemu(&folders.sandbox(root), argv, PROBE)?;
    let reason = watch(&process, PATIENCE);
    process.end(Some(pid))?;
    clean(folders)?;
    reason
}

/// Starts a kernel of this machine's architecture alone under KVM until it speaks. Says why it does not. `root` is the
/// lock's QEMU.
///
/// # Errors
/// [`DriverError`] when nothing could be tried.
pub fn try_kernel(root: &Path, kernel: &Path) -> Result<Option<String>, DriverError> {
    const INSIDE: &str = "/kiln/kvm";
    const KERNEL: &str = "/kiln/vmlinuz";
    let folder = tempfile::tempdir()?;
    let process = Process { name: PROBE.to_owned(), folder: folder.path().to_owned(), control: Control::Qmp };
    let mut argv = machine::kernel(KERNEL, INSIDE);
    argv.extend(controlled(INSIDE));
    let sandbox = Sandbox::new(root).show(kernel, KERNEL).lend(&process.folder, INSIDE).device(KVM);
    let pid = process.start(&sandbox, &argv)?;
    let reason = watch(&process, PATIENCE);
    process.end(Some(pid))?;
    reason
}

/// Waits until the kernel of a machine under KVM speaks. Says why it does not.
fn watch(process: &Process, patience: Duration) -> Result<Option<String>, DriverError> {
    let outcome = until(patience, Duration::from_millis(50), || {
        // Asked first: what a machine says last is read after it has stopped.
        let (running, broken) = (process.is_running()?, process.has_internal_error());
        Ok::<_, DriverError>(if serial::kernel_runs(&process.folder)? {
            // What KVM gives up after that, `rescue` looks after, however soon it is.
            Some(None)
        } else if broken {
            Some(Some(format!("KVM runs no kernel ({})", process.kvm_error()?)))
        } else if running {
            None
        } else {
            let log = process.log()?;
            Some(Some(log.lines().last().unwrap_or("a test machine under KVM ended at once").to_owned()))
        })
    })?;
    let silent = || Some(format!("no kernel spoke under KVM within {} s", patience.as_secs()));
    Ok(outcome.unwrap_or_else(silent))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fs_err as fs;

    use super::{choose, watch};
    use crate::driver::error::DriverError;
    use crate::driver::hardware::{Accel, Accelerator};
    use crate::driver::qemu::tests::Machine;
    use crate::ground::arch::Arch;
    use crate::ground::error::Explain;
    use crate::ground::progress::Progress;

    const BOOT_LOADER: &str = "Kiln: starting Linux 6.12.48+deb13-amd64\r\n";

    fn outcome(machine: &Machine, console: &str) -> Option<String> {
        fs::write(machine.folder().join("serial.log"), console).unwrap();
        watch(&machine.process(), Duration::from_millis(300)).unwrap()
    }

    #[test]
    fn kvm_works_when_the_kernel_speaks() {
        let machine = Machine::running("running", "");
        for said in ["[    0.000000] Linux version 6.12.48", "Loading, please wait...\r\n"] {
            assert_eq!(outcome(&machine, &format!("{BOOT_LOADER}{said}")), None);
        }
    }

    #[test]
    fn a_machine_that_kvm_stops_is_told_in_qemus_words() {
        let machine =
            Machine::running("internal-error", "KVM internal error. Suberror: 1\nemulation failure\nRAX=0\n");
        let reason = "KVM runs no kernel (KVM internal error. Suberror: 1)";
        assert_eq!(outcome(&machine, BOOT_LOADER).unwrap(), reason);
    }

    #[test]
    fn a_silent_kernel_is_given_up() {
        let machine = Machine::running("running", "");
        assert_eq!(outcome(&machine, BOOT_LOADER).unwrap(), "no kernel spoke under KVM within 0 s");
    }

    #[test]
    fn a_refusal_is_told_in_qemus_words() {
        let refusal = "failed to initialize kvm: No such device";
        let machine = Machine::ended(&format!("Could not access KVM kernel module\n{refusal}\n"));
        assert_eq!(outcome(&machine, "").unwrap(), refusal);
        assert_eq!(outcome(&Machine::ended(""), "").unwrap(), "a test machine under KVM ended at once");
        // It may be quick.
        assert_eq!(outcome(&Machine::ended(""), "[    0.000000] Linux version 6.12.48\r\n"), None);
    }

    #[test]
    fn what_was_asked_for_is_tried_only_where_it_can_be() {
        let foreign = if Arch::HOST == Arch::Amd64 { Arch::Arm64 } else { Arch::Amd64 };
        let untried = || -> Result<Option<String>, DriverError> { panic!("it was tried") };
        let progress = Progress::new();
        for (wanted, arch) in [(Accel::Tcg, Arch::HOST), (Accel::Tcg, foreign), (Accel::Auto, foreign)] {
            assert_eq!(choose(wanted, arch, &progress, untried).unwrap(), Accelerator::Tcg);
        }
        assert!(choose(Accel::Kvm, foreign, &progress, untried).is_err());
        for wanted in [Accel::Auto, Accel::Kvm] {
            assert_eq!(choose(wanted, Arch::HOST, &progress, || Ok(None)).unwrap(), Accelerator::Kvm);
        }
        let fails = || Ok(Some("KVM runs no kernel".to_owned()));
        assert_eq!(choose(Accel::Auto, Arch::HOST, &progress, fails).unwrap(), Accelerator::Tcg);
        let error = choose(Accel::Kvm, Arch::HOST, &progress, fails).unwrap_err();
        let fact = "hardware virtualisation does not work on this host: KVM runs no kernel";
        assert_eq!(error.to_string(), fact);
        assert_eq!(error.hint().unwrap(), "use `--accel tcg`");
    }
}
