//! Standard output for data, standard error for people.

use serde::Serialize;

use crate::ground::call;
use crate::ground::error::Result;

/// Data for standard output. A reader that went away ends the program quietly.
pub(super) fn say(text: &str) -> Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// A value for scripts, as JSON on standard output.
pub(super) fn say_json(value: &impl Serialize) -> Result<()> {
    say(&format!("{}\n", serde_json::to_string_pretty(value).map_err(std::io::Error::from)?))
}

/// A line for the person, on standard error. Commands in it are as this program was called.
pub(super) fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{}", call::typed(text));
}
