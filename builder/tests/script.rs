//! Scripts that the program under test runs.

use std::path::Path;

/// Writes a script that can be run. Another process writes it: a file that this one has open for writing may be open in a
/// child of another test, too, and then nobody can run it (`ETXTBSY`, execve(2)).
pub fn write(path: &Path, text: &str) {
    let script = ["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"];
    assert_cmd::Command::new("sh").args(script).arg(path).write_stdin(text).assert().success();
}
