//! The program that runs at boot: it parses its arguments, runs and reports. Everything else is the library.

use std::io::{self, Write};
use std::process::ExitCode;

use firstboot::args::{Args, Command};
use firstboot::console::Console;
use firstboot::ops::Real;
use firstboot::peers::peers;
use firstboot::run::run;
use firstboot::status::status;
use firstboot::system::Running;

fn main() -> ExitCode {
    let mut stderr = io::stderr();
    let mut console = Console::new(&mut stderr);
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let result = match Args::parse(std::env::args_os().skip(1), credentials) {
        Ok(Command::Run(args)) => run(&args, &mut Real, &mut console, &mut io::stdout()),
        Ok(Command::Peers { args, once }) => peers(&args, once, &mut Real, &mut Running, &mut console),
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
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.say(&error.to_string());
            console.say(error.hint());
            ExitCode::from(error.exit_code())
        }
    }
}
