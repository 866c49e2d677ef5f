//! The one door to external programs: each runs inside a root of pinned packages, in namespaces of its own, with a
//! clean environment and nothing of the host but what was bound.
//!
//! The parent side is here; [`inner`] is the child side, entered by re-executing this program. It does not know what
//! the programs do. Each sandbox has a user namespace: an ordinary user's with the ranges of /etc/subuid (shadow's
//! newuidmap), root's with the same ids inside and outside. Root in it is root of nothing but its own namespaces.

mod emulation;
mod error;
pub mod host;
mod idmap;
pub mod inner;
mod order;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::arch::Arch;
pub use error::SandboxError;
use order::{Bind, Order, Task};
pub use order::{INNER, Sandbox};

/// Names the program to re-execute when this one is not `builder` (tests that use the library). Only builds for tests ask for it.
pub const LAUNCHER: &str = "KILN_SANDBOX_LAUNCHER";

/// How often a program that is watched is looked at.
pub(crate) const LOOK: std::time::Duration = std::time::Duration::from_millis(250);

impl Sandbox {
    /// A sandbox whose `/` is the folder `root`, read-only, with an empty /tmp, /run and /var/tmp, no network and the
    /// environment that every step shares: fixed PATH, HOME, locale and zone.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("DEBIAN_FRONTEND", "noninteractive"),
        ];
        Self {
            root: root.to_owned(),
            binds: Vec::new(),
            emptied: Vec::new(),
            share_network: false,
            env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            cwd: PathBuf::from("/"),
            devices: Vec::new(),
            emulate: None,
            detached: false,
        }
    }

    /// Shows a file or folder of the host at an absolute path, read-only. The place must lie below /kiln, /tmp, /run
    /// or /dev, where the sandbox has file systems of its own, or below a folder that was emptied.
    #[must_use]
    pub fn show(mut self, from: &Path, to: impl Into<PathBuf>) -> Self {
        self.binds.push(Bind { from: from.to_owned(), to: to.into(), writable: false });
        self
    }

    /// The same, writable.
    #[must_use]
    pub fn lend(mut self, from: &Path, to: impl Into<PathBuf>) -> Self {
        self.binds.push(Bind { from: from.to_owned(), to: to.into(), writable: true });
        self
    }

    /// Gives a device of the host, by its name in /dev, where the host has it.
    #[must_use]
    pub fn device(mut self, name: &str) -> Self {
        self.devices.push(name.to_owned());
        self
    }

    /// Puts an empty folder in the place of one of the root's.
    #[must_use]
    pub fn empty(mut self, folder: impl Into<PathBuf>) -> Self {
        self.emptied.push(folder.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// Sets the working directory, a path inside.
    #[must_use]
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = path.into();
        self
    }

    /// Has programs of another architecture run by the emulator in a root of Debian's package qemu-user.
    #[must_use]
    pub fn emulate(mut self, arch: Arch, emulator: &Path) -> Self {
        self.emulate = Some(arch);
        self.show(emulator, emulation::EMULATOR)
    }

    /// Lets the program use the host's network: only `up`'s QEMU and the go command do.
    #[must_use]
    pub fn share_network(mut self) -> Self {
        self.share_network = true;
        self
    }

    /// Runs a program to its end and returns its standard output.
    ///
    /// # Errors
    /// [`SandboxError`] when it cannot start or fails; the error carries the end of its standard error.
    pub fn run<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Vec<u8>, SandboxError> {
        self.run_with(argv, |_| Ok(()))
    }

    /// The same, with `feed` writing its standard input.
    ///
    /// # Errors
    /// As [`Sandbox::run`]; an error of `feed` itself counts only when the program did not fail.
    pub fn run_with<S: AsRef<str>>(
        &self,
        argv: impl IntoIterator<Item = S>,
        feed: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Vec<u8>, SandboxError> {
        let argv: Vec<String> = argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let program = argv.join(" ");
        tracing::debug!(%program, "sandbox");
        self.finish(Task::Run(argv), program, feed, |_| ControlFlow::Continue(()))
    }

    /// The same without input, with `look` seeing what it wrote to its standard error so far, four times a second. When it
    /// breaks, the program is killed.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn watch<S: AsRef<str>>(
        &self,
        argv: impl IntoIterator<Item = S>,
        look: impl FnMut(&File) -> ControlFlow<()> + Send,
    ) -> Result<Vec<u8>, SandboxError> {
        let argv: Vec<String> = argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let program = argv.join(" ");
        tracing::debug!(%program, "sandbox");
        self.finish(Task::Run(argv), program, |_| Ok(()), look)
    }

    /// Does what a task is, to its end; errors call it `program`.
    fn finish(
        &self,
        task: Task,
        program: String,
        feed: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        mut look: impl FnMut(&File) -> ControlFlow<()> + Send,
    ) -> Result<Vec<u8>, SandboxError> {
        let io_error = |source| SandboxError::Io { program: program.clone(), source };
        let stderr = tempfile::tempfile().map_err(io_error)?;
        let mut child = self.start(task, Stdio::from(stderr.try_clone().map_err(io_error)?))?;
        let mut stdin = child.stdin.take();
        let mut stdout = child.stdout.take();
        let process = Pid::from_raw(child.id().cast_signed());
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let (fed, read) = std::thread::scope(|scope| {
            let seen = stderr.try_clone();
            scope.spawn(move || {
                let Ok(seen) = seen else { return };
                while end.recv_timeout(LOOK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    if look(&seen).is_break() {
                        // Nobody waited for it yet: the number is still its own.
                        let _ = kill(process, Signal::SIGKILL);
                        return;
                    }
                }
            });
            let reader = scope.spawn(|| {
                let mut bytes = Vec::new();
                stdout.as_mut().map_or(Ok(0), |pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
            });
            let fed = stdin.as_mut().map_or(Ok(()), |pipe| feed(pipe));
            drop(stdin.take());
            let read = reader.join();
            drop(ended);
            (fed, read)
        });
        let status = child.wait().map_err(io_error)?;
        if !status.success() {
            return Err(SandboxError::Failed { program, status, stderr: tail(stderr) });
        }
        fed.map_err(io_error)?;
        read.unwrap_or_else(|_| Err(io::Error::other("the reader of its output died"))).map_err(io_error)
    }

    /// Starts a program that outlives this one; it keeps nothing of the terminal. `log` receives its output. Returns
    /// the process id of the child side, which ends when the program does.
    ///
    /// # Errors
    /// [`SandboxError::Start`] when the namespaces cannot be made.
    pub fn spawn<S: AsRef<str>>(
        &self,
        argv: impl IntoIterator<Item = S>,
        log: File,
    ) -> Result<u32, SandboxError> {
        let argv: Vec<String> = argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut sandbox = self.clone();
        sandbox.detached = true;
        let mut child = sandbox.start(Task::Run(argv), Stdio::from(log))?;
        drop((child.stdin.take(), child.stdout.take()));
        Ok(child.id())
    }

    /// Starts the child side and sees it through the making of its namespaces.
    #[expect(clippy::disallowed_methods, reason = "the sandbox is the door")]
    fn start(&self, task: Task, stderr: Stdio) -> Result<Child, SandboxError> {
        let start = |message: String| SandboxError::Start {
            message,
            hint: "run `builder doctor` to see what this host lacks".to_owned(),
        };
        let order = Order { sandbox: self.clone(), task };
        let mut child = Command::new(launcher())
            .arg(INNER)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| start(error.to_string()))?;
        match handshake(&mut child, &order) {
            Ok(()) => Ok(()),
            Err(message) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(start(message))
            }
        }?;
        if self.emulate.is_none() {
            return Ok(child);
        }
        match line(&mut child) {
            Ok(line) if line == inner::EMULATES => Ok(child),
            told => {
                let _ = child.kill();
                let _ = child.wait();
                let message = told.unwrap_or_else(|error| error.to_string());
                Err(SandboxError::Start { message, hint: emulation::HINT.to_owned() })
            }
        }
    }
}

/// Removes a folder that programs of a sandbox filled: some of it may be of ids that only they had, which an ordinary
/// user can neither write to nor remove.
///
/// # Errors
/// [`SandboxError`] when the namespaces cannot be made, or something in it cannot be removed.
pub fn remove(path: &Path) -> Result<(), SandboxError> {
    let program = format!("removing {}", path.display());
    let task = Task::Remove(path.to_owned());
    Sandbox::new(Path::new("/")).finish(task, program, |_| Ok(()), |_| ControlFlow::Continue(())).map(drop)
}

/// Whether namespaces and id maps are to be had: a sandbox that ends before it mounts anything.
///
/// # Errors
/// [`SandboxError::Start`] with the failing step.
pub fn probe() -> Result<(), SandboxError> {
    let program = Task::Run(vec!["true".to_owned()]);
    let mut child = Sandbox::new(Path::new("/nonexistent")).start(program, Stdio::null())?;
    drop(child.stdin.take());
    let _ = child.wait();
    Ok(())
}

/// The child is told its order and says one line when its namespaces stand. It waits until its ids are mapped, and what it
/// starts inside is told the same order again.
fn handshake(child: &mut Child, order: &Order) -> Result<(), String> {
    let mut to = child.stdin.take().ok_or("its pipe is missing")?;
    // One that could not even start has said why.
    let sent = order.send(&mut to);
    let line = line(child).map_err(|error| sent.err().unwrap_or(error).to_string())?;
    if line != inner::READY {
        return Err(line);
    }
    idmap::map(child.id())?;
    let mut sent = to.write_all(b"\n");
    if matches!(order.task, Task::Run(_)) {
        sent = sent.and_then(|()| order.send(&mut to));
    }
    child.stdin = Some(to);
    sent.map_err(|error| error.to_string())
}

/// The next line of the child's standard output.
fn line(child: &mut Child) -> io::Result<String> {
    let stdout = child.stdout.as_mut().ok_or_else(|| io::Error::other("its pipe is missing"))?;
    let mut line = Vec::new();
    let mut byte = [0];
    // Byte by byte: what follows the line belongs to the program.
    while stdout.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    if line.is_empty() {
        return Err(io::Error::other("it ended at once"));
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// This program, or the one that a test names. The link works also when the file has been replaced since.
fn launcher() -> OsString {
    let named = std::env::var_os(LAUNCHER).filter(|_| cfg!(any(debug_assertions, feature = "e2e")));
    named.unwrap_or_else(|| "/proc/self/exe".into())
}

/// The last kibibytes of a program's standard error.
fn tail(mut file: File) -> String {
    use std::io::{Seek, SeekFrom};
    const TAIL: u64 = 4096;
    let length = file.seek(SeekFrom::End(0)).unwrap_or(0);
    let mut bytes = Vec::new();
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL)));
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
