//! Words and commands for a POSIX shell.

use crate::results::cluster::NodeJson;

/// A command over several lines: the program, then an option with its value on each line.
pub(super) fn command(words: &[&str], options: &[(&str, String)]) -> String {
    let mut text = words.join(" ");
    for (option, value) in options {
        text += " \\\n  ";
        text += option;
        if !value.is_empty() {
            text += " ";
            text += &quote(value);
        }
    }
    text + "\n"
}

/// A word for a POSIX shell.
pub(super) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+:,./@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The size argument of `qemu-img create`, with a space before it.
pub(super) fn size(node: &NodeJson) -> String {
    node.disk_mib.map(|mib| format!(" {mib}M")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted_when_they_must_be() {
        assert_eq!(quote("if=none,id=disk"), "if=none,id=disk");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
