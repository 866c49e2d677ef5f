//! The kernel command line: `kiln.KEY=VALUE` words, and cloud-init's `ds=nocloud`. Everything else belongs to others and
//! is skipped.

use crate::machine::Machine;
use crate::settings::Settings;
use crate::source::announced;
use crate::source::error::SourceError;
use crate::source::form::{Source, bounded, pairs};

const NAME: &str = "kernel command line";
const PREFIX: &str = "kiln.";

/// Reads the kernel command line.
pub struct Cmdline;

impl Source for Cmdline {
    fn read(&self, machine: &Machine) -> Result<Option<Settings>, SourceError> {
        let Some(bytes) = bounded(NAME, &machine.cmdline)? else { return Ok(None) };
        // Other programs' words may be in any encoding; a replacement character is in none of our keys and values.
        let text = String::from_utf8_lossy(&bytes);
        let words = words(&text);
        let mut announced = Settings::default();
        for word in &words {
            announced::read(NAME, word, &mut announced)
                .map_err(|error| SourceError::Setting { source_name: NAME, error })?;
        }
        let words = words.iter().filter_map(|word| word.strip_prefix(PREFIX));
        let words = words.map(|word| word.split_once('=').unwrap_or((word, "")));
        let settings = pairs(NAME, PREFIX, words)?.or(announced);
        Ok((settings != Settings::default()).then_some(settings))
    }
}

/// Splits as the kernel does: at white space outside double quotes, which are dropped; `--` ends its part.
/// <https://www.kernel.org/doc/html/latest/admin-guide/kernel-parameters.html>
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for char in text.chars() {
        match char {
            '"' => quoted = !quoted,
            // The kernel's own isspace() knows only these.
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(char),
        }
    }
    words.push(word);
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.truncate(end);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::words;
    use crate::settings::Settings;

    #[test]
    fn quotes_hold_a_word_together() {
        let text = "quiet \"kiln.node=a b\" kiln.hostname=\"c d\"\troot=x -- kiln.node=init";
        assert_eq!(words(text), ["quiet", "kiln.node=a b", "kiln.hostname=c d", "root=x"]);
    }

    proptest! {
        #[test]
        fn any_text_is_settings_or_an_error(text in any::<String>(), key in "(node|hostname|address|dns|gateway|pod-cidr|x)") {
            let _ = words(&text);
            let _ = Settings::from_pairs("s", "kiln.", [(key.as_str(), text.as_str()), (text.as_str(), "")]);
        }
    }
}
