//! Reading a machine's serial console: how far its boot is, what went wrong, and its text without the terminal's
//! control sequences.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use serde::Serialize;

/// The console of the machine's last start.
pub(super) const LOG: &str = "serial.log";

/// The console of the start before.
pub(super) const PREVIOUS: &str = "serial.log.1";

/// How far a machine's boot is, as its console shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The console is empty.
    Silent,
    /// Something spoke: firmware, boot loader or kernel.
    Booting,
    /// firstboot has given the node its values, or found them in place.
    Firstboot,
    /// There is a login prompt.
    Login,
}

impl Stage {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Booting => "booting",
            Self::Firstboot => "firstboot's record",
            Self::Login => "its login prompt",
        }
    }
}

/// What a console shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// How far the boot is.
    pub stage: Stage,
    /// The line that says why it will not go on.
    pub trouble: Option<String>,
}

/// A boot begins anew after these.
const RESTARTS: [&str; 2] = ["reboot: Restarting system", "Linux version "];

/// After these it does not go on: the kernel's, the initramfs's and systemd's last words.
const TROUBLES: [&str; 5] = [
    "Kernel panic - not syncing",
    "Gave up waiting for root",
    "You are in emergency mode",
    "You are in rescue mode",
    "Failed to start kiln-firstboot.service",
];

/// What the text of a console shows.
fn judge(text: &str) -> Seen {
    let stage = if text.trim().is_empty() { Stage::Silent } else { Stage::Booting };
    let mut seen = Seen { stage, trouble: None };
    for line in text.lines() {
        if RESTARTS.iter().any(|mark| line.contains(mark)) {
            seen = Seen { stage: Stage::Booting, trouble: None };
        }
        if TROUBLES.iter().any(|mark| line.contains(mark)) {
            seen.trouble = Some(line.trim().to_owned());
        }
        seen.stage = seen.stage.max(stage_of(line));
    }
    seen
}

fn stage_of(line: &str) -> Stage {
    let firstboot = line.split_once("firstboot: ").map(|(_, said)| said);
    // A prompt has no line of its own: the kernel may write on behind it.
    let host = line.split_once(" login:").map(|(host, _)| host);
    if host.is_some_and(|host| !host.is_empty() && !host.contains(' ')) {
        Stage::Login
    } else if firstboot.is_some_and(|said| said.contains(": applied ") || said.ends_with(" is up to date")) {
        Stage::Firstboot
    } else {
        Stage::Silent
    }
}

/// What the console of the machine in `folder` shows; silent when there is none.
pub(super) fn look(folder: &Path) -> io::Result<Seen> {
    Ok(judge(&read(folder)?))
}

/// Its last lines.
pub(super) fn tail(folder: &Path) -> io::Result<String> {
    const LINES: usize = 15;
    let text = read(folder)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].join("\n"))
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
    is_running: impl Fn() -> io::Result<bool>,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let mut file = match fs::File::open(folder.join(LOG)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
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

    use super::{Filter, LOG, Seen, Stage, copy, judge, tail};

    fn stage(text: &str) -> Stage {
        judge(text).stage
    }

    #[test]
    fn the_stages_follow_the_console() {
        assert_eq!(stage("\n\n"), Stage::Silent);
        assert_eq!(stage("Booting `Debian'\n"), Stage::Booting);
        assert_eq!(
            stage("[    4.1] firstboot[180]: firstboot: server: hostname server (table)\n"),
            Stage::Booting
        );
        assert_eq!(stage("firstboot: server: applied 21 files in 9 ms, 0 unchanged\n"), Stage::Firstboot);
        assert_eq!(
            stage("firstboot: server is up to date\nDebian GNU/Linux 13 server ttyS0\n\nserver login: "),
            Stage::Login
        );
        assert_eq!(stage("server login: [   41.5] audit: type=1400\n"), Stage::Login);
        assert_eq!(stage("[    3.0] systemd[1]: Reached target login: x\n"), Stage::Booting);
    }

    #[test]
    fn a_restart_begins_anew_and_forgets_trouble() {
        let text = "server login: \nKernel panic - not syncing: x\n[ 60.0] reboot: Restarting system\n";
        assert_eq!(judge(text), Seen { stage: Stage::Booting, trouble: None });
    }

    #[test]
    fn a_panic_is_told() {
        let text =
            "firstboot: server is up to date\n[ 9.1] Kernel panic - not syncing: Attempted to kill init!\n";
        assert_eq!(
            judge(text).trouble.unwrap(),
            "[ 9.1] Kernel panic - not syncing: Attempted to kill init!"
        );
    }

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
}
