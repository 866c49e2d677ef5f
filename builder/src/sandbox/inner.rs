//! The child side of the sandbox. It runs twice: first it makes the namespaces and starts itself again inside them,
//! then, as process 1 of the new process namespace, it builds the file system, enters it and starts the program.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use fs_err as fs;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

use crate::sandbox::emulation;
use crate::sandbox::order::{Bind, INNER, Order, Task};

/// What the child says when its namespaces stand.
pub(super) const READY: &str = "kiln-sandbox-ready";

/// What it says when programs of another architecture are emulated.
pub(super) const EMULATES: &str = "kiln-sandbox-emulates";

/// Marks the second entry.
const SECOND: &str = "second";

/// Exit code when the sandbox itself failed, after its cause went to standard error.
const BROKEN: u8 = 125;

/// Runs the child side; `args` are what follows [`INNER`] on the command line. Its order comes on standard input. Returns the exit
/// code.
#[must_use]
pub fn enter(args: &[String]) -> u8 {
    let outcome = match args {
        [] => order().and_then(|(order, stdin)| first(&order, stdin)),
        [second] if second == SECOND => order().and_then(|(order, _)| second_entry(&order)),
        _ => Err("it takes no arguments".to_owned()),
    };
    match outcome {
        Ok(status) => status.code().map_or_else(
            // As a shell tells a signal.
            || 128 + status.signal().unwrap_or(0).clamp(0, 100) as u8,
            |code| code.clamp(0, 255) as u8,
        ),
        Err(message) => {
            let _ = writeln!(io::stderr(), "sandbox: {message}");
            BROKEN
        }
    }
}

/// The order, and standard input behind it, unbuffered: the rest is the program's.
fn order() -> Result<(Order, fs::File), String> {
    let mut stdin = fs::File::open("/proc/self/fd/0").map_err(|error| error.to_string())?;
    let order = Order::receive(&mut stdin).map_err(|error| format!("reading its order: {error}"))?;
    Ok((order, stdin))
}

fn say(what: &str) -> impl Fn(nix::Error) -> String + use<'_> {
    move |error| format!("{what}: {error}")
}

#[expect(clippy::disallowed_methods, reason = "the sandbox is the door")]
fn first(order: &Order, mut stdin: fs::File) -> Result<ExitStatus, String> {
    let detached = order.sandbox.detached;
    if detached {
        nix::unistd::setsid().map_err(say("setsid"))?;
    } else {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(say("prctl"))?;
    }
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    flags |= CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWUSER;
    if !order.sandbox.share_network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    let made =
        unshare(flags).map_err(|error| format!("user namespaces are not to be had on this host ({error})"));
    let mut stdout = io::stdout();
    if let Err(message) = made {
        let _ = writeln!(stdout, "{message}");
        return Err(message);
    }
    let told = writeln!(stdout, "{READY}").and_then(|()| stdout.flush());
    told.map_err(|error| error.to_string())?;
    let mut byte = [0];
    if stdin.read(&mut byte).map_err(|error| error.to_string())? == 0 {
        return Err("the parent went away".to_owned());
    }
    if let Task::Remove(path) = &order.task {
        return crate::ground::durable::remove_tree(path)
            .map(|()| ExitStatus::default())
            .map_err(|error| error.to_string());
    }
    let mut second = Command::new("/proc/self/exe");
    second.args([INNER, SECOND]).env_clear();
    if detached {
        second.stdout(io::stderr());
    }
    second.status().map_err(|error| error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "the sandbox is the door")]
fn second_entry(order: &Order) -> Result<ExitStatus, String> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(say("prctl"))?;
    nix::unistd::sethostname("kiln").map_err(say("sethostname"))?;
    build_root(order).map_err(|error| format!("making its file system: {error}"))?;
    if let Some(arch) = order.sandbox.emulate {
        // The parent waits for a line: the cause, when it cannot be done.
        let registered = emulation::register(arch)
            .map_err(|error| format!("programs of {arch} cannot be emulated here: {error}"));
        let mut stdout = io::stdout();
        let told = registered.as_ref().map_or_else(String::as_str, |()| EMULATES);
        writeln!(stdout, "{told}").and_then(|()| stdout.flush()).map_err(|error| error.to_string())?;
        registered?;
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let sandbox = &order.sandbox;
    let Task::Run(argv) = &order.task else { return Err("no program runs".to_owned()) };
    let (program, args) = argv.split_first().ok_or("no program was named")?;
    // Setuid programs and file capabilities give nothing.
    nix::sys::prctl::set_no_new_privs().map_err(say("prctl"))?;
    Command::new(program)
        .args(args)
        .env_clear()
        .envs(sandbox.env.iter().cloned())
        .current_dir(&sandbox.cwd)
        .stdin(if sandbox.detached { Stdio::null() } else { Stdio::inherit() })
        .status()
        .map_err(|error| format!("starting `{program}`: {error}"))
}

/// Mounts the root with what is bound into it and makes it `/`.
fn build_root(order: &Order) -> io::Result<()> {
    let sandbox = &order.sandbox;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let root = fs::canonicalize(&sandbox.root)?;
    bind(&root, &root, false)?;
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let own = [("/tmp", "1777"), ("/run", "755"), ("/var/tmp", "1777"), ("/kiln", "755"), ("/dev", "755")];
    let own = own.map(|(place, mode)| (Path::new(place), mode));
    for (place, mode) in own.into_iter().chain(sandbox.emptied.iter().map(|place| (place.as_path(), "755"))) {
        let options = format!("mode={mode}");
        mount(Some("tmpfs"), &inside(place), Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))?;
    }
    let devices = ["null", "zero", "full", "random", "urandom"];
    for device in devices.into_iter().chain(sandbox.devices.iter().map(String::as_str)) {
        let from = Path::new("/dev").join(device);
        if from.exists() {
            let to = inside(&from);
            fs::File::create(&to)?;
            mount(Some(&from), &to, none, MsFlags::MS_BIND, none)?;
        }
    }
    for (link, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        fs::os::unix::fs::symlink(target, inside(Path::new("/dev")).join(link))?;
    }
    fs::create_dir(inside(Path::new("/dev/shm")))?;
    mount(Some("proc"), &inside(Path::new("/proc")), Some("proc"), MsFlags::empty(), none)?;
    for Bind { from, to, writable } in &sandbox.binds {
        let to = inside(to);
        if from.is_dir() {
            fs::create_dir_all(&to)?;
        } else {
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::File::create(&to)?;
        }
        bind(from, &to, *writable)?;
    }
    nix::unistd::chdir(&root)?;
    // pivot_root(".", "."), as pivot_root(2) has it: the old root comes to lie on the new one and is detached.
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir(&PathBuf::from("/"))?;
    Ok(())
}

/// A bind mount; a read-only one keeps the flags that the source's mount has, which a user namespace may not drop.
fn bind(from: &Path, to: &Path, writable: bool) -> io::Result<()> {
    let none: Option<&str> = None;
    mount(Some(from), to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    if writable {
        return Ok(());
    }
    let kept = nix::sys::statvfs::statvfs(to)?.flags();
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    for (seen, flag) in [
        (nix::sys::statvfs::FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (nix::sys::statvfs::FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (nix::sys::statvfs::FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (nix::sys::statvfs::FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (nix::sys::statvfs::FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if kept.contains(seen) {
            flags |= flag;
        }
    }
    mount(none, to, none, flags, none)?;
    Ok(())
}
