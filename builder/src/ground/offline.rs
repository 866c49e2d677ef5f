//! `--offline`, enforced: once forbidden, this process opens no connection any more.
//!
//! Two walls, of which the first always stands: `fetch` asks here before it opens an address of another machine, and
//! where the kernel lets it the process moves into a network namespace in which there is nothing. It must be called
//! before any thread starts: a namespace is a thread's.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sched::{CloneFlags, unshare};

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// From now on `fetch` opens no address of another machine.
pub fn forbid() {
    FORBIDDEN.store(true, Ordering::Relaxed);
}

/// Whether the network is forbidden.
#[must_use]
pub fn is_forbidden() -> bool {
    FORBIDDEN.load(Ordering::Relaxed)
}

/// Forbids the network by both walls.
pub fn enforce() {
    forbid();
    let isolated = isolate();
    tracing::debug!(isolated, "the network is forbidden");
}

/// Moves the calling thread, and those that it starts, into an empty network namespace. False where that needs a right
/// that the process does not have: an ordinary user would need a user namespace first, in which newuidmap, which the
/// sandbox needs, has no effect.
#[must_use]
pub fn isolate() -> bool {
    unshare(CloneFlags::CLONE_NEWNET).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::isolate;

    /// In a thread of its own, so that the other tests keep their network.
    #[test]
    fn an_isolated_thread_reaches_nothing_not_even_this_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (isolated, reached) =
            std::thread::spawn(move || (isolate(), TcpStream::connect(address).is_ok())).join().unwrap();
        assert_eq!(isolated, nix::unistd::geteuid().is_root());
        assert_eq!(reached, !isolated);
    }
}
