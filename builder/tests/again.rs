//! A test that runs itself again: the sandbox re-executes `builder`, not the test.

use assert_cmd::Command;
use builder::sandbox::LAUNCHER;

/// Runs the test of this whole name in a process that knows `builder`; false in that process.
pub fn ran_again(test: &str) -> bool {
    if std::env::var_os(LAUNCHER).is_some() {
        return false;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(LAUNCHER, env!("CARGO_BIN_EXE_builder"));
    // A name of no test passes without having run.
    let ran = again.assert().success().get_output().stdout.clone();
    assert!(String::from_utf8_lossy(&ran).contains("1 passed"), "there is no test `{test}`");
    true
}
