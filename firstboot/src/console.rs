//! What people and tests read on the serial console: one line a fact, each with the program's name, because it
//! stands between the lines of the kernel and of systemd. It does not decide what is worth saying.

use std::io::Write;

/// Writes the lines.
pub struct Console<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Console<'a> {
    /// A console that writes to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// Writes one message. A console that cannot be written to is no reason to leave the node without its values.
    pub fn say(&mut self, message: &str) {
        // At once: for whoever reads it, each piece that is written is a reason to wake up.
        let text: String = message.lines().map(|line| format!("firstboot: {line}\n")).collect();
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }
}

/// Text from outside, made fit for a message: no control characters, no end of the screen.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
