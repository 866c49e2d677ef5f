//! How this program was called, so that a command which a message names can be pasted where the message is read: from the folder that it
//! was compiled into, out of a bundle, with another store. Messages say `builder`; the edge remembers the call and says them as typed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What stands for `builder`: the program and the global options that it was given.
static CALL: OnceLock<String> = OnceLock::new();

/// The name that messages have for this program.
const NAME: &str = "builder";

/// What stands before a command in a message, when it is not its beginning.
const BEFORE: [&str; 3] = ["`", "&& ", ": "];

/// Remembers the program as it was called, `argv[0]`, and its global options with their values. The first call counts.
pub fn remember(program: &str, options: &[(&str, Option<&Path>)]) {
    // Without a slash the shell found it.
    let program = if program.contains('/') { quote(program) } else { NAME.to_owned() };
    let given = options.iter().filter_map(|(option, value)| Some((option, value.as_ref()?)));
    let call = given.fold(program, |call, (option, value)| {
        format!("{call} {option} {}", quote(&value.to_string_lossy()))
    });
    let _ = CALL.set(call);
}

/// The value of a global option, unless the variable that stands in for it has the same: that goes on to the next command by itself.
#[must_use]
pub fn given<'a>(value: Option<&'a PathBuf>, variable: &str) -> Option<&'a Path> {
    value
        .filter(|value| std::env::var_os(variable).is_none_or(|set| set != value.as_os_str()))
        .map(PathBuf::as_path)
}

/// A message whose commands begin as this program was called.
#[must_use]
pub fn typed(message: &str) -> String {
    CALL.get().map_or_else(|| message.to_owned(), |call| replace(message, call))
}

fn replace(message: &str, call: &str) -> String {
    let within = BEFORE.iter().fold(message.to_owned(), |text, before| {
        text.replace(&format!("{before}{NAME} "), &format!("{before}{call} "))
    });
    match within.strip_prefix(&format!("{NAME} ")) {
        Some(rest) => format!("{call} {rest}"),
        None => within,
    }
}

/// A word for a POSIX shell.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+:,./@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{quote, replace};

    #[test]
    fn words_are_quoted_when_they_must_be() {
        assert_eq!(quote("if=none,id=disk"), "if=none,id=disk");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_command_is_as_it_was_called_and_the_word_stays() {
        let call = "target/release/builder --store /big";
        for (message, typed) in [
            ("builder lock update", "target/release/builder --store /big lock update"),
            ("`builder down p` gives it up", "`target/release/builder --store /big down p` gives it up"),
            (
                "x\n\nhint: builder down p && builder up p",
                "x\n\nhint: target/release/builder --store /big down p && target/release/builder --store /big up p",
            ),
            ("this builder reads version 2", "this builder reads version 2"),
        ] {
            assert_eq!(replace(message, call), typed);
        }
    }
}
