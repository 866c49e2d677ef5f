//! Programs of this machine that a driver calls: looked up in PATH, run to their end, with what they said in the
//! error. The programs of the lock run in a [`sandbox`](crate::sandbox) instead.

use std::ffi::OsString;
use std::process::Output;

use crate::driver::error::DriverError;

/// A program of the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// How one gets it.
    pub(super) hint: &'static str,
    /// What mends what it complains of.
    pub(super) advice: fn(&str) -> Option<String>,
}

/// Runs it with an empty standard input and returns its standard output.
pub(super) fn run(program: Program, argv: &[String]) -> Result<String, DriverError> {
    run_with(program, argv, "")
}

/// The same with a text on its standard input.
pub(super) fn run_with(program: Program, argv: &[String], input: &str) -> Result<String, DriverError> {
    let Output { status, stdout, stderr } = output(program, argv, input)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    // Some say what is wrong on standard output.
    let said = [stderr, stdout].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let hint = (program.advice)(&said);
    Err(DriverError::Program { command: format!("{} {}", program.name, argv.join(" ")), said, hint })
}

fn output(program: Program, argv: &[String], input: &str) -> Result<Output, DriverError> {
    tracing::debug!(program = program.name, ?argv, "running");
    let command = duct::cmd(program.name, argv.iter().map(OsString::from));
    // Their messages are read: they shall be in English.
    let command = command.env("LC_ALL", "C").stdin_bytes(input).stdout_capture().stderr_capture();
    command.unchecked().run().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => DriverError::NoProgram { name: program.name, hint: program.hint },
        _ => DriverError::Io(error),
    })
}
