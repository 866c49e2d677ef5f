//! One process that outlives builder, a QEMU or the switch: starting it, asking whether it lives, ending it.
//!
//! Its log carries a lock (flock(2)) that the sandbox and the program inherit with their standard error: it is held exactly
//! as long as one of them lives, so a recycled process id never matters. It does not know what the machine is for.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::poll::until;
use crate::driver::qemu::places::{QMP_SOCKET, RESULTS_INSIDE, RUN_INSIDE, controlled};
use crate::driver::qemu::qmp::Qmp;
use crate::driver::qemu::vde;
use crate::sandbox::Sandbox;

/// QEMU's own words.
pub(super) const LOG: &str = "qemu.log";

/// The device that QEMU is given, by its name in /dev.
pub(super) const KVM: &str = "kvm";

const PAUSE: Duration = Duration::from_millis(50);

/// A QEMU by its folder.
#[derive(Debug, Clone)]
pub(super) struct Process {
    /// For messages: a node, or `switch`.
    pub(super) name: String,
    /// Where its log and its control socket are.
    pub(super) folder: PathBuf,
    /// How it is spoken to.
    pub(super) control: Control,
}

/// How a process is spoken to once it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// A QEMU, by its control socket.
    Qmp,
    /// The switch, by its own.
    Vde,
}

impl Process {
    /// Whether it, or the sandbox around it, lives.
    pub(super) fn is_running(&self) -> io::Result<bool> {
        let log = match fs::File::open(self.folder.join(LOG)) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Shared, so that two who ask do not take each other for QEMU.
        match log.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(std::fs::TryLockError::WouldBlock) => Ok(true),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Starts it; [`Process::wait_for_start`] tells whether that went well. The folder must be there.
    pub(super) fn start(&self, sandbox: &Sandbox, argv: &[String]) -> Result<u32, DriverError> {
        self.remove_sockets()?;
        let log = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.folder.join(LOG))?;
        log.lock()?;
        log.set_len(0)?;
        Ok(sandbox.spawn(argv, log.into_file())?)
    }

    /// Waits until it answers on its control socket.
    pub(super) fn wait_for_start(&self) -> Result<(), DriverError> {
        let answers = until(Duration::from_secs(15), PAUSE, || -> io::Result<Option<bool>> {
            if !self.is_running()? {
                return Ok(Some(false));
            }
            Ok(self.answers().then_some(true))
        })?;
        match answers {
            Some(true) => Ok(()),
            _ => Err(DriverError::Start { name: self.name.clone(), log: self.log()? }),
        }
    }

    fn answers(&self) -> bool {
        match self.control {
            Control::Qmp => Qmp::connect(&self.folder, QMP_SOCKET).is_ok(),
            Control::Vde => vde::answers(&self.folder),
        }
    }

    /// Starts a QEMU whose folder is `folder` below `run`, with a control socket.
    pub(super) fn start_qemu(
        &self,
        sandbox: &Sandbox,
        mut argv: Vec<String>,
        folder: &str,
    ) -> Result<u32, DriverError> {
        argv.extend(controlled(&format!("{}/{folder}", RUN_INSIDE)));
        self.start(sandbox, &argv)
    }

    /// What QEMU said.
    pub(super) fn log(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.join(LOG))?).trim().to_owned())
    }

    /// Whether KVM gave it up: QEMU pauses it for good ("RunState" in QEMU's QMP reference).
    pub(super) fn has_internal_error(&self) -> bool {
        let status = Qmp::connect(&self.folder, QMP_SOCKET).and_then(|mut qmp| qmp.run("query-status"));
        status.is_ok_and(|status| status["status"] == "internal-error")
    }

    /// Why KVM gave it up, in QEMU's words; a dump of its registers follows them.
    pub(super) fn kvm_error(&self) -> io::Result<String> {
        let log = self.log()?;
        let said = log.lines().find(|line| line.contains("KVM"));
        Ok(said.unwrap_or("QEMU reports an internal error").to_owned())
    }

    /// Presses its power button. That it does not answer is no error: the caller waits for its end anyway.
    pub(super) fn press_power_button(&self) {
        let _ = Qmp::connect(&self.folder, QMP_SOCKET).and_then(|mut qmp| qmp.run("system_powerdown"));
    }

    /// Waits for its end; false when it still lives after that time.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> io::Result<bool> {
        let ended = until(timeout, PAUSE, || Ok::<_, io::Error>((!self.is_running()?).then_some(())))?;
        Ok(ended.is_some())
    }

    /// Tells it to end.
    fn quit(&self) -> io::Result<()> {
        match self.control {
            // It hangs up instead of answering.
            Control::Qmp => Qmp::connect(&self.folder, QMP_SOCKET)?.run("quit").map(drop),
            Control::Vde => vde::shut_down(&self.folder),
        }
    }

    /// Ends it at once: by its control socket, else by killing its sandbox, whose namespace takes it along.
    pub(super) fn end(&self, pid: Option<u32>) -> Result<(), DriverError> {
        let quit = until(Duration::from_secs(5), PAUSE, || -> io::Result<Option<()>> {
            if !self.is_running()? {
                return Ok(Some(()));
            }
            // Again and again: one that has just been started does not listen yet.
            let _ = self.quit();
            Ok(None)
        })?;
        if quit.is_none() {
            if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
                // Its lock is held, so the process is alive and the id is still its own.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if !self.wait_for_end(Duration::from_secs(5))? {
                return Err(DriverError::StillRunning(self.name.clone()));
            }
        }
        Ok(self.remove_sockets()?)
    }

    /// Removes the sockets that a killed QEMU left.
    pub(super) fn remove_sockets(&self) -> io::Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sock") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Folders {
    pub(super) fn process(&self, name: &str) -> Process {
        Process { name: name.to_owned(), folder: self.node(name), control: Control::Qmp }
    }

    /// A sandbox that sees the results and may write below [`RUN`].
    pub(super) fn sandbox(&self, root: &Path) -> Sandbox {
        Sandbox::new(root).show(&self.results, RESULTS_INSIDE).lend(&self.run, RUN_INSIDE).device(KVM)
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{Control, LOG, Process};

    #[test]
    fn it_lives_while_its_log_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let process =
            Process { name: "server".to_owned(), folder: folder.path().to_owned(), control: Control::Qmp };
        assert!(!process.is_running().unwrap());
        let log = fs::File::create(folder.path().join(LOG)).unwrap();
        assert!(!process.is_running().unwrap());
        log.lock().unwrap();
        assert!(process.is_running().unwrap());
        drop(log);
        assert!(!process.is_running().unwrap());
    }

    #[test]
    fn sockets_go_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("qmp.sock"), "").unwrap();
        fs::write(folder.path().join("disk.qcow2"), "").unwrap();
        let process =
            Process { name: "server".to_owned(), folder: folder.path().to_owned(), control: Control::Qmp };
        process.end(None).unwrap();
        assert!(!folder.path().join("qmp.sock").exists());
        assert!(folder.path().join("disk.qcow2").exists());
    }
}
