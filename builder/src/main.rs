//! The program: its hidden child side first, then the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == builder::sandbox::INNER) {
        return ExitCode::from(builder::sandbox::inner::enter(&args[1..]));
    }
    builder::cli::run()
}
