//! Whether hardware virtualisation works here. A host can have /dev/kvm and yet not run a machine, so a tiny one is
//! started and its firmware has to speak. A host whose KVM runs firmware and no kernel needs `--accel tcg`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use super::poll::until;
use super::process::{Control, Process};
use super::{Accel, Accelerator, DriverError, qemu};
use crate::lock::format::Arch;
use crate::sandbox::Sandbox;

/// What the firmware says goes here.
const DEBUG_LOG: &str = "firmware.log";

/// The test machine's folder below `run`, whose name no node has: a fixed one, so that `down` finds what an
/// interrupted `up` left.
fn probe(run: &Path) -> Process {
    let folder: PathBuf = run.join("_kvm");
    Process { name: "the KVM probe".to_owned(), folder, control: Control::Qmp }
}

/// Ends a test machine that an interrupted attempt left.
pub(super) fn clean(run: &Path) -> Result<(), DriverError> {
    let probe = probe(run);
    if probe.folder.exists() {
        probe.end(None)?;
        fs::remove_dir_all(&probe.folder)?;
    }
    Ok(())
}

/// Settles how the processors of an architecture run; `run` is the folder for the attempt.
pub(super) fn choose(
    wanted: Accel,
    arch: Arch,
    qemu_root: &Path,
    run: &Path,
) -> Result<Accelerator, DriverError> {
    match wanted {
        Accel::Kvm if arch != Arch::HOST => {
            Err(DriverError::NoKvm(format!("it is {}, and the machines are {arch}", Arch::HOST)))
        }
        Accel::Auto if arch != Arch::HOST => Ok(Accelerator::Tcg),
        Accel::Tcg => Ok(Accelerator::Tcg),
        Accel::Kvm => match try_kvm(qemu_root, run)? {
            None => Ok(Accelerator::Kvm),
            Some(reason) => Err(DriverError::NoKvm(reason)),
        },
        Accel::Auto => match try_kvm(qemu_root, run)? {
            None => Ok(Accelerator::Kvm),
            Some(reason) => {
                tracing::debug!(reason, "no hardware virtualisation");
                Ok(Accelerator::Tcg)
            }
        },
    }
}

/// Why KVM does not work, none when it does.
fn try_kvm(qemu_root: &Path, run: &Path) -> Result<Option<String>, DriverError> {
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(error.to_string()));
    }
    clean(run)?;
    let process = probe(run);
    super::make_private(&process.folder)?;
    const INSIDE: &str = "/kiln/probe";
    let log = format!("file,id=firmware,path={INSIDE}/{DEBUG_LOG}");
    let board = qemu::Board::of(Arch::HOST);
    let mut argv = vec![board.program, "-machine", "q35", "-nodefaults", "-m", "64M"];
    argv.extend(board.processors(Accelerator::Kvm));
    // SeaBIOS's debug console.
    argv.extend(["-chardev", &log, "-device", "isa-debugcon,iobase=0x402,chardev=firmware"]);
    let mut argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
    argv.extend(qemu::controlled(INSIDE));
    let sandbox = Sandbox::new(qemu_root).lend(&process.folder, INSIDE);
    let pid = process.start(&sandbox, &argv)?;
    let outcome = until(Duration::from_secs(3), Duration::from_millis(20), || {
        let spoke = fs::metadata(process.folder.join(DEBUG_LOG)).is_ok_and(|file| file.len() > 0);
        if spoke {
            return Ok::<_, io::Error>(Some(None));
        }
        if process.is_running()? {
            return Ok(None);
        }
        process.log().map(|log| Some(Some(log)))
    })?;
    let reason = match outcome {
        Some(None) => None,
        Some(Some(log)) => Some(log.lines().last().unwrap_or("QEMU ended at once").to_owned()),
        None => Some("the firmware of a test machine stayed silent".to_owned()),
    };
    process.end(Some(pid))?;
    clean(run)?;
    Ok(reason)
}
