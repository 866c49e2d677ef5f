//! The program that runs at first boot: it parses its arguments, runs and reports. Everything else is the library.

use std::io::{self, Write};
use std::process::ExitCode;

use firstboot::args::{Args, Command};
use firstboot::console::Console;
use firstboot::ops::Real;
use firstboot::run;
use firstboot::status::status;

fn main() -> ExitCode {
    let mut stderr = io::stderr();
    let mut console = Console::new(&mut stderr);
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let args = match Args::parse(std::env::args_os().skip(1), credentials) {
        Ok(Command::Run(args)) => args,
        Ok(Command::Status { root, json }) => {
            return match status(&root, json, &mut io::stdout()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    console.say(&error.to_string());
                    ExitCode::from(1)
                }
            };
        }
        Ok(Command::Print(text)) => {
            return ExitCode::from(u8::from(io::stdout().write_all(text.as_bytes()).is_err()));
        }
        Err(error) => {
            console.say(&error.to_string());
            return ExitCode::from(1);
        }
    };
    match run::run(&args, &mut Real, &mut console, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.say(&error.to_string());
            console.say(error.hint());
            ExitCode::from(error.exit_code())
        }
    }
}
