//! Runs a program and stops it at every system call that changes a file below a folder, so that a test can let the call
//! fail as a full or a broken disk does. It traces the real program: nothing in that knows of it.

#![allow(dead_code, reason = "one test program uses it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;
use nix::errno::Errno;
use nix::libc::{self, c_long, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A call that changes a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The kernel's name for it.
    pub name: &'static str,
    /// What it changes.
    pub path: String,
    /// Bytes, of a call that writes some.
    pub bytes: Option<u64>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Go,
    /// It is made with half the bytes.
    Half,
    /// It is not made, and the program is told that it was.
    Skip,
    /// It is not made, and fails.
    Fail(Errno),
    /// It is made, and the program is told that it failed.
    FailAfter(Errno),
}

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stderr: String,
}

/// Where a call has its path: an open file or text, by the number of the argument.
enum At {
    Open(usize),
    Text(usize),
}

/// The calls that change a file: number, name, path, and the number of bytes if it has any. Those that open one count
/// when they make or write it.
const CALLS: [(c_long, &str, At, Option<usize>); 30] = [
    (libc::SYS_open, "open", At::Text(0), None),
    (libc::SYS_openat, "openat", At::Text(1), None),
    (libc::SYS_write, "write", At::Open(0), Some(2)),
    (libc::SYS_pwrite64, "pwrite64", At::Open(0), Some(2)),
    (libc::SYS_writev, "writev", At::Open(0), None),
    (libc::SYS_pwritev, "pwritev", At::Open(0), None),
    (libc::SYS_copy_file_range, "copy_file_range", At::Open(2), None),
    (libc::SYS_sendfile, "sendfile", At::Open(0), None),
    (libc::SYS_ftruncate, "ftruncate", At::Open(0), None),
    (libc::SYS_fallocate, "fallocate", At::Open(0), None),
    (libc::SYS_fsync, "fsync", At::Open(0), None),
    (libc::SYS_fdatasync, "fdatasync", At::Open(0), None),
    (libc::SYS_syncfs, "syncfs", At::Open(0), None),
    (libc::SYS_rename, "rename", At::Text(0), None),
    (libc::SYS_renameat, "renameat", At::Text(1), None),
    (libc::SYS_renameat2, "renameat2", At::Text(1), None),
    (libc::SYS_mkdir, "mkdir", At::Text(0), None),
    (libc::SYS_mkdirat, "mkdirat", At::Text(1), None),
    (libc::SYS_rmdir, "rmdir", At::Text(0), None),
    (libc::SYS_unlink, "unlink", At::Text(0), None),
    (libc::SYS_unlinkat, "unlinkat", At::Text(1), None),
    (libc::SYS_symlink, "symlink", At::Text(1), None),
    (libc::SYS_symlinkat, "symlinkat", At::Text(2), None),
    (libc::SYS_linkat, "linkat", At::Text(3), None),
    (libc::SYS_chmod, "chmod", At::Text(0), None),
    (libc::SYS_fchmod, "fchmod", At::Open(0), None),
    (libc::SYS_fchmodat, "fchmodat", At::Text(1), None),
    (libc::SYS_chown, "chown", At::Text(0), None),
    (libc::SYS_fchown, "fchown", At::Open(0), None),
    (libc::SYS_fchownat, "fchownat", At::Text(1), None),
];

/// Runs `command` to its end; `judge` decides on each call that changes something below `folder`.
pub fn run(command: &[String], folder: &Path, mut judge: impl FnMut(&Call) -> Verdict) -> io::Result<Ended> {
    // The shell waits for a line, so that nothing has happened yet when the tracer is there.
    #[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read go && exec \"$@\"", "sh"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options)?;
    child.stdin.take().expect("a pipe").write_all(b"go\n")?;
    let code = trace(pid, folder, &mut judge)?;
    let mut stderr = String::new();
    BufReader::new(child.stderr.take().expect("a pipe")).read_to_string(&mut stderr)?;
    Ok(Ended { code, stderr })
}

/// Goes from stop to stop until the program ends, and answers how.
fn trace(pid: Pid, folder: &Path, judge: &mut dyn FnMut(&Call) -> Verdict) -> io::Result<i32> {
    // The call that the program is in, with its registers and its verdict.
    let mut within: Option<(user_regs_struct, Verdict)> = None;
    loop {
        let signal = match waitpid(pid, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Exited(_, code) => return Ok(code),
            WaitStatus::PtraceSyscall(_) => {
                within = match within.take() {
                    None => Some(enter(pid, folder, judge)?),
                    Some((before, verdict)) => {
                        leave(pid, &before, verdict)?;
                        None
                    }
                };
                None
            }
            // The program has begun: its calls count from here, and it is inside of one.
            WaitStatus::PtraceEvent(..) => {
                within = Some((ptrace::getregs(pid)?, Verdict::Go));
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::Signaled(_, signal, _) => return Err(ended_by(signal)),
            other => return Err(io::Error::other(format!("the traced program: {other:?}"))),
        };
        ptrace::syscall(pid, signal)?;
    }
}

fn ended_by(signal: Signal) -> io::Error {
    io::Error::other(format!("the traced program was ended by {signal}"))
}

/// At the beginning of a call: makes it another one, or none, as the verdict says.
fn enter(
    pid: Pid,
    folder: &Path,
    judge: &mut dyn FnMut(&Call) -> Verdict,
) -> io::Result<(user_regs_struct, Verdict)> {
    let before = ptrace::getregs(pid)?;
    let Some(call) = call(pid, &before)?.filter(|call| Path::new(&call.path).starts_with(folder)) else {
        return Ok((before, Verdict::Go));
    };
    let verdict = judge(&call);
    let mut changed = before;
    match verdict {
        Verdict::Go | Verdict::FailAfter(_) => return Ok((before, verdict)),
        Verdict::Half => changed.rdx /= 2,
        // There is no such call.
        Verdict::Skip | Verdict::Fail(_) => changed.orig_rax = u64::MAX,
    }
    ptrace::setregs(pid, changed)?;
    Ok((before, verdict))
}

/// At the end of a call: tells the program what became of it.
fn leave(pid: Pid, before: &user_regs_struct, verdict: Verdict) -> io::Result<()> {
    let mut after = ptrace::getregs(pid)?;
    match verdict {
        Verdict::Go => return Ok(()),
        Verdict::Half => after.rdx = before.rdx,
        Verdict::Skip => after.rax = 0,
        Verdict::Fail(errno) | Verdict::FailAfter(errno) => {
            after.rax = i64::from(-(errno as i32)).cast_unsigned();
        }
    }
    Ok(ptrace::setregs(pid, after)?)
}

/// The call that these registers are for, if it is one that changes a file.
fn call(pid: Pid, regs: &user_regs_struct) -> io::Result<Option<Call>> {
    let known = CALLS.iter().find(|(number, ..)| number.cast_unsigned() == regs.orig_rax);
    let Some((_, name, at, bytes)) = known else { return Ok(None) };
    let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10];
    let (path, opens) = match at {
        At::Open(arg) => (fs::read_link(format!("/proc/{pid}/fd/{}", args[*arg]))?, None),
        At::Text(arg) => (text(pid, args[*arg])?.into(), name.starts_with("open").then(|| args[*arg + 1])),
    };
    let writes = (libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY | libc::O_RDWR) as u64;
    if opens.is_some_and(|flags| flags & writes == 0) {
        return Ok(None);
    }
    let path = path.to_string_lossy().into_owned();
    Ok(Some(Call { name, path, bytes: bytes.map(|arg| args[arg]) }))
}

/// A C string in the program's memory.
fn text(pid: Pid, at: u64) -> io::Result<String> {
    struct Memory(fs::File, u64);
    impl Read for Memory {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.file().read_at(buffer, self.1)?;
            self.1 += read as u64;
            Ok(read)
        }
    }
    let mut bytes = Vec::new();
    let memory = Memory(fs::File::open(format!("/proc/{pid}/mem"))?, at);
    BufReader::with_capacity(256, memory).read_until(0, &mut bytes)?;
    bytes.pop();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
