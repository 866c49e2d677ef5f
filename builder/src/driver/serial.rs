//! Reading the file of a machine's serial console, without the terminal's control sequences. What the words mean
//! belongs to [`boot`](super::boot).

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use crate::driver::boot::{self, Judge, Seen};
use crate::driver::error::DriverError;

/// The console of the machine's last start.
pub(super) const LOG: &str = "serial.log";

/// The console of the start before.
const PREVIOUS: &str = "serial.log.1";

/// Keeps the console of the start before apart, and says where the one of the next start goes.
pub(super) fn begin(folder: &Path) -> io::Result<PathBuf> {
    let log = folder.join(LOG);
    if log.exists() {
        fs::rename(&log, folder.join(PREVIOUS))?;
    }
    Ok(log)
}

/// A console that is looked at again and again: each look reads what is new.
#[derive(Debug)]
pub(super) struct Console {
    log: PathBuf,
    /// How many bytes were read.
    read: u64,
    filter: Filter,
    judge: Judge,
}

impl Console {
    /// That of the machine in `folder`, from its beginning.
    pub(super) fn of(folder: &Path) -> Self {
        Self { log: folder.join(LOG), read: 0, filter: Filter::default(), judge: Judge::new() }
    }

    /// What it shows; silent when there is none.
    pub(super) fn look(&mut self) -> io::Result<Seen> {
        let mut file = match fs::File::open(&self.log) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.judge.seen()),
            Err(error) => return Err(error),
        };
        // One that became shorter was begun anew.
        if file.metadata()?.len() < self.read {
            (self.read, self.filter, self.judge) = (0, Filter::default(), Judge::new());
        }
        file.seek(SeekFrom::Start(self.read))?;
        let (mut bytes, mut plain) = (Vec::new(), Vec::new());
        file.read_to_end(&mut bytes)?;
        self.read = file.stream_position()?;
        self.filter.feed(&bytes, &mut plain);
        self.judge.feed(&plain);
        Ok(self.judge.seen())
    }
}

/// Its last lines.
pub(super) fn tail(folder: &Path) -> io::Result<String> {
    const LINES: usize = 15;
    let text = read(folder)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

/// Whether it shows that a kernel runs.
pub(super) fn kernel_runs(folder: &Path) -> io::Result<bool> {
    Ok(boot::kernel_runs(&read(folder)?))
}

/// The address that DHCP gave the machine last, as `firstboot peers` says it: `NODE: this node is at ADDRESS/PREFIX`.
pub(super) fn own_address(folder: &Path) -> io::Result<Option<Ipv4Addr>> {
    let text = read(folder)?;
    let mut said =
        text.lines().rev().filter_map(|line| line.split_once(": this node is at ")?.1.split_once('/'));
    Ok(said.find_map(|(address, _)| address.parse().ok()))
}

fn read(folder: &Path) -> io::Result<String> {
    let bytes = match fs::read(folder.join(LOG)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut plain = Vec::new();
    Filter::default().feed(&bytes, &mut plain);
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// Writes the console of the machine in `folder` to `out`; with `follow`, also what comes, until the machine stops.
/// False when there is none.
pub(super) fn copy(
    folder: &Path,
    follow: bool,
    is_running: impl Fn() -> Result<bool, DriverError>,
    out: &mut dyn Write,
) -> Result<bool, DriverError> {
    let mut file = match fs::File::open(folder.join(LOG)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let mut filter = Filter::default();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        // Asked first, so that a machine's last words are read after it has stopped.
        let more = follow && is_running()?;
        loop {
            let count = file.read(&mut bytes)?;
            if count == 0 {
                break;
            }
            let mut plain = Vec::new();
            filter.feed(&bytes[..count], &mut plain);
            out.write_all(&plain)?;
        }
        out.flush()?;
        if !more {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(200));
        // A console that became shorter was begun anew.
        if file.metadata()?.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
        }
    }
}

/// Drops control sequences (ECMA-48) and control characters other than line feed and tab.
#[derive(Debug, Default)]
struct Filter(Inside);

#[derive(Debug, Default)]
enum Inside {
    #[default]
    Text,
    Escape,
    Control,
    Command(bool),
}

impl Filter {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        const ESCAPE: u8 = 0x1b;
        const BELL: u8 = 0x07;
        for &byte in bytes {
            self.0 = match (&self.0, byte) {
                // A command string ends with a bell or with ESC \.
                (Inside::Command(_), BELL) | (Inside::Command(true), b'\\') => Inside::Text,
                (Inside::Command(_), _) => Inside::Command(byte == ESCAPE),
                (_, ESCAPE) => Inside::Escape,
                (Inside::Escape, b'[') => Inside::Control,
                (Inside::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Inside::Command(false),
                (Inside::Escape, 0x20..=0x2f) => Inside::Escape,
                (Inside::Escape, _) | (Inside::Control, 0x40..=0x7e) => Inside::Text,
                (Inside::Control, _) => Inside::Control,
                (Inside::Text, _) => {
                    if byte >= b' ' || matches!(byte, b'\n' | b'\t') {
                        out.push(byte);
                    }
                    Inside::Text
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::{Console, Filter, LOG, copy, tail};
    use crate::driver::boot::Stage;

    #[test]
    fn control_sequences_go_even_when_they_arrive_in_pieces() {
        let raw = b"\x1b[2J\x1b[01;01Hgrub\r\n\x1b]3008;start=1\x1b\\a\x1b]0;title\x07b\x1b(B\x1bc ok\x00\n";
        for size in 1..raw.len() {
            let (mut filter, mut plain) = (Filter::default(), Vec::new());
            raw.chunks(size).for_each(|chunk| filter.feed(chunk, &mut plain));
            assert_eq!(String::from_utf8(plain).unwrap(), "grub\nab ok\n");
        }
    }

    #[test]
    fn the_tail_is_short_and_following_ends_with_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..40).map(|line| format!("line {line}\r\n\r\n")).collect();
        fs::write(folder.path().join(LOG), text).unwrap();
        let last = tail(folder.path()).unwrap();
        assert!(last.starts_with("line 25\n") && last.ends_with("line 39"), "{last}");
        let mut out = Vec::new();
        assert!(copy(folder.path(), true, || Ok(false), &mut out).unwrap());
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 80);
        assert!(!copy(&folder.path().join("none"), false, || Ok(false), &mut out).unwrap());
    }

    #[test]
    fn a_console_is_read_on_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut console = Console::of(folder.path());
        let write = |text: &str| fs::write(folder.path().join(LOG), text).unwrap();
        assert_eq!(console.look().unwrap().stage, Stage::Silent);
        write("\x1b[2Jgrub\r\nserver lo");
        assert_eq!(console.look().unwrap().stage, Stage::Booting);
        // What was read is not read again: it could be anything by now.
        write("# # # # # # # # # #gin: ");
        assert_eq!(console.look().unwrap().stage, Stage::Login);
        assert_eq!(Console::of(folder.path()).look().unwrap().stage, Stage::Booting);
        write("grub\n");
        assert_eq!(console.look().unwrap().stage, Stage::Booting);
    }
}
