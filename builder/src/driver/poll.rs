//! Waiting with a time-out: the driver's only look at a clock. What it says never reaches a file.

use std::time::{Duration, Instant};

/// A moment in the future.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// So much from now.
    pub(super) fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// Whether it has come.
    pub(super) fn passed(self) -> bool {
        now() >= self.0
    }
}

/// The time since a moment, for what is said to people and for pauses.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    pub(super) fn start() -> Self {
        Self(now())
    }

    /// How long ago that was.
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "a time-out needs a clock")]
fn now() -> Instant {
    Instant::now()
}

/// Asks again and again until there is an answer; none when the time has passed. It asks at least once.
pub(super) fn until<T, E>(
    timeout: Duration,
    pause: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let deadline = Deadline::after(timeout);
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if deadline.passed() {
            return Ok(None);
        }
        std::thread::sleep(pause);
    }
}
