//! The least rate of a download: a server that sends a byte before each time-out would otherwise hold it for days.
//!
//! It measures the time that is spent waiting for the server, and no other; what becomes of a download that is given
//! up, the module above decides.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The fewest bytes in each second of waiting, on the average of a window.
const LEAST: u64 = 1024;

/// Reads on as long as enough comes.
pub(crate) struct Paced<R> {
    inner: R,
    window: Duration,
    waited: Duration,
    read: u64,
}

impl<R> Paced<R> {
    /// `window` is the time over which the rate is averaged.
    pub(crate) fn new(inner: R, window: Duration) -> Self {
        Self { inner, window, waited: Duration::ZERO, read: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    #[expect(clippy::disallowed_methods, reason = "a time-out looks at a clock; no output does")]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        let read = self.inner.read(buffer)?;
        self.waited += began.elapsed();
        self.read += read as u64;
        if self.waited >= self.window {
            // Its end is no slowness.
            if read > 0 && u128::from(self.read) * 1000 < u128::from(LEAST) * self.waited.as_millis() {
                let message = format!("it sends less than {LEAST} bytes a second");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            (self.waited, self.read) = (Duration::ZERO, 0);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use super::Paced;

    /// Gives `step` bytes after each pause, `left` in all.
    struct Slow {
        pause: Duration,
        step: usize,
        left: usize,
    }

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(self.pause);
            let read = self.step.min(self.left).min(buffer.len());
            self.left -= read;
            Ok(read)
        }
    }

    fn read(step: usize, left: usize) -> std::io::Result<u64> {
        let slow = Slow { pause: Duration::from_millis(20), step, left };
        std::io::copy(&mut Paced::new(slow, Duration::from_millis(100)), &mut std::io::sink())
    }

    #[test]
    fn a_trickle_is_given_up_and_a_stream_is_not() {
        let error = read(1, usize::MAX).unwrap_err();
        assert_eq!(error.to_string(), "it sends less than 1024 bytes a second");
        assert_eq!(read(4000, 60_000).unwrap(), 60_000);
        // Too little to be slow.
        assert_eq!(read(1, 2).unwrap(), 2);
    }
}
