//! What a person sees while Kiln works: bars on a terminal, whole lines elsewhere, all on standard error.
//!
//! The stages know only [`Progress`] and [`Task`]; this is the one file that knows indicatif.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ground::call;

/// The screen, and the times of the finished stages.
#[derive(Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
    times: Mutex<Vec<(String, Duration)>>,
    started: Instant,
}

/// A piece of work in progress.
#[derive(Debug)]
pub struct Task<'a> {
    progress: &'a Progress,
    label: String,
    bar: Option<ProgressBar>,
    started: Instant,
    count: Option<Count>,
}

/// How many things are done, for lines where there is no bar.
#[derive(Debug)]
struct Count {
    things: &'static str,
    total: u64,
    done: AtomicU64,
    /// When the last line was written, in seconds since the start.
    told: AtomicU64,
}

/// Seconds between two lines of the same piece of work.
const BETWEEN: u64 = 20;

/// So many seconds, for people.
fn duration(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{seconds} s"),
        _ => format!("{} min", (seconds + 30) / 60),
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Bars when standard error is a terminal, lines otherwise.
    #[must_use]
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { bars, times: Mutex::default(), started: now() }
    }

    /// One line for the person at the screen. Commands in it are as this program was called.
    pub fn line(&self, text: &str) {
        let text = &call::typed(text);
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Starts a piece of work without a known size.
    #[must_use]
    pub fn task(&self, label: &str) -> Task<'_> {
        self.start(label, None)
    }

    /// Starts a piece of work of so many bytes.
    #[must_use]
    pub fn bytes(&self, label: &str, total: u64) -> Task<'_> {
        self.start(label, Some(total))
    }

    fn start(&self, label: &str, total: Option<u64>) -> Task<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let (bar, template) = match total {
                Some(total) => {
                    (ProgressBar::new(total), "{spinner} {msg:<44} {bar:24} {bytes}/{total_bytes} {eta}")
                }
                None => (ProgressBar::new_spinner(), "{spinner} {msg:<44} {elapsed}"),
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = bars.add(bar).with_style(style).with_message(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            self.line(&format!("{label} …"));
        }
        Task { progress: self, label: label.to_owned(), bar, started: now(), count: None }
    }

    /// Starts a piece of work of so many things, which takes about so many seconds.
    #[must_use]
    pub fn counted(&self, label: &str, things: &'static str, total: usize, seconds: u64) -> Task<'_> {
        let before = format!("{label}: {total} {things}, about {}", duration(seconds));
        let mut task = self.start(&before, Some(total as u64));
        task.label = label.to_owned();
        if let Some(bar) = &task.bar {
            let template = "{spinner} {msg} {bar:24} {pos}/{len} {eta}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
        }
        task.count =
            Some(Count { things, total: total as u64, done: AtomicU64::new(0), told: AtomicU64::new(0) });
        task
    }

    /// How long it has been; the pieces of work may be longer together, because some are done at once.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The finished pieces of work with what each took, in the order of their ends.
    #[must_use]
    pub fn times(&self) -> Vec<(String, Duration)> {
        self.times.lock().map_or_else(|broken| broken.into_inner().clone(), |times| times.clone())
    }
}

/// Today's date in UTC, `2026-11-21`: for advice, never for an output.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "advice about dates is shown, not stored")]
pub fn today() -> String {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = i64::try_from(seconds / 86_400).unwrap_or(0);
    let date = time::OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::days(days)).date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The only clock of the builder: what it says goes to the screen, never into an output.
#[expect(clippy::disallowed_methods, reason = "stage times are shown, not stored")]
fn now() -> Instant {
    Instant::now()
}

impl Task<'_> {
    /// So many more bytes or things are done.
    pub fn advance(&self, more: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(more);
            return;
        }
        let Some(Count { things, total, done, told }) = &self.count else { return };
        let done = done.fetch_add(more, Ordering::Relaxed) + more;
        let seconds = self.started.elapsed().as_secs();
        if done > 0 && done < *total && seconds >= told.load(Ordering::Relaxed) + BETWEEN {
            told.store(seconds, Ordering::Relaxed);
            let left = duration(seconds * (total - done) / done);
            self.progress.line(&format!("{}: {done} of {total} {things}, about {left} left", self.label));
        }
    }

    /// How far it is: beside the bar on a terminal, else a line of its own.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {text}", self.label)),
            None => self.progress.line(&format!("{}: {text}", self.label)),
        }
    }

    /// The work is done: its bar goes, its time is kept.
    pub fn finish(self) {
        let took = self.started.elapsed();
        self.progress.line(&format!("{} ({:.1} s)", self.label, took.as_secs_f64()));
        if let Ok(mut times) = self.progress.times.lock() {
            times.push((self.label.clone(), took));
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
