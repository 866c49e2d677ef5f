//! Words and commands for a POSIX shell.

use crate::ground::call::quote;
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

/// The size argument of `qemu-img create`, with a space before it.
pub(super) fn size(node: &NodeJson) -> String {
    node.disk_mib.map(|mib| format!(" {mib}M")).unwrap_or_default()
}
