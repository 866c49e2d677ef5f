//! How far a machine's boot is, and what went wrong, by the words on its console. Where the console is and what is new
//! there belongs to [`serial`](super::serial).

use serde::Serialize;

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

/// The kernel's first word.
const KERNEL: &str = "Linux version ";

/// The initramfs's first word. Images tell their kernel to show errors alone, so it is what a console shows first.
const INITRAMFS: &str = "Loading, please wait";

/// A boot begins anew after these.
const RESTARTS: [&str; 2] = ["reboot: Restarting system", KERNEL];

/// After these it does not go on: the kernel's, the initramfs's and systemd's last words.
const TROUBLES: [&str; 5] = [
    "Kernel panic - not syncing",
    "Gave up waiting for root",
    "You are in emergency mode",
    "You are in rescue mode",
    "Failed to start kiln-firstboot.service",
];

/// Reads a console as it grows.
#[derive(Debug)]
pub(super) struct Judge {
    /// After the last whole line.
    seen: Seen,
    /// What follows it.
    line: Vec<u8>,
}

impl Judge {
    /// Before the first word.
    pub(super) fn new() -> Self {
        Self { seen: Seen { stage: Stage::Silent, trouble: None }, line: Vec::new() }
    }

    /// Reads on; the text may end anywhere.
    pub(super) fn feed(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend(&rest[..end]);
            judge(&mut self.seen, &String::from_utf8_lossy(&self.line));
            self.line.clear();
            rest = &rest[end + 1..];
        }
        self.line.extend(rest);
    }

    /// What was read until now. A prompt is not a whole line.
    pub(super) fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        judge(&mut seen, &String::from_utf8_lossy(&self.line));
        seen
    }
}

fn judge(seen: &mut Seen, line: &str) {
    if RESTARTS.iter().any(|mark| line.contains(mark)) {
        *seen = Seen { stage: Stage::Booting, trouble: None };
    }
    if TROUBLES.iter().any(|mark| line.contains(mark)) {
        seen.trouble = Some(line.trim().to_owned());
    }
    seen.stage = seen.stage.max(stage_of(line));
}

fn stage_of(line: &str) -> Stage {
    let firstboot = line.split_once("firstboot: ").map(|(_, said)| said);
    // A prompt has no line of its own: the kernel may write on behind it.
    let host = line.split_once(" login:").map(|(host, _)| host);
    if host.is_some_and(|host| !host.is_empty() && !host.contains(' ')) {
        Stage::Login
    } else if firstboot.is_some_and(|said| said.contains(": applied ") || said.ends_with(" is up to date")) {
        Stage::Firstboot
    } else if line.trim().is_empty() {
        Stage::Silent
    } else {
        Stage::Booting
    }
}

/// Whether a kernel runs: firmware and boot loader speak before it.
pub(super) fn kernel_runs(console: &str) -> bool {
    let runs = |line: &str| [KERNEL, INITRAMFS].iter().any(|mark| line.contains(mark));
    console.lines().any(|line| runs(line) || stage_of(line) >= Stage::Firstboot)
}

#[cfg(test)]
mod tests {
    use super::{Judge, Seen, Stage};

    fn judge(text: &str) -> Seen {
        let mut judge = Judge::new();
        judge.feed(text.as_bytes());
        judge.seen()
    }

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
    fn a_console_may_arrive_in_pieces() {
        let text = "x\nfirstboot: server is up to date\n\nserver login: \nKernel panic - not syncing: a\n";
        for size in 1..text.len() {
            let mut pieces = Judge::new();
            for piece in text.as_bytes().chunks(size) {
                pieces.feed(piece);
                pieces.seen();
            }
            assert_eq!(pieces.seen(), judge(text));
        }
        assert_eq!(judge(text).stage, Stage::Login);
    }
}
