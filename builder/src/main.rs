//! The program: its hidden child side first, then the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == builder::sandbox::INNER) {
        // These are of this program's own making.
        let args: Vec<String> = std::env::args().skip(1).collect();
        return ExitCode::from(builder::sandbox::inner::enter(&args[1..]));
    }
    builder::cli::run()
}
