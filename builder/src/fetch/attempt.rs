//! How often something is asked for, how long is waited, and how much is taken.

use std::time::Duration;

use crate::fetch::credentials::shown;

/// Attempts at one address before the next one.
pub(crate) const ATTEMPTS: u32 = 3;

/// The most bytes of a file whose size the lock does not know.
pub(super) const LARGEST: u64 = 4 << 30;

/// How long a server may say nothing, and the time over which the rate of a download is averaged.
pub(crate) const STALL: Duration = Duration::from_secs(60);

/// Addresses for people.
pub(super) fn tried(urls: &[String]) -> String {
    urls.iter().map(|url| shown(url)).collect::<Vec<_>>().join(", ")
}

/// Waits before every attempt but the first.
pub(crate) fn pause(attempt: u32) {
    if attempt > 0 {
        std::thread::sleep(Duration::from_millis(150 << attempt));
    }
}
