//! cloud-init's words for its NoCloud source, `ds=nocloud;KEY=VALUE…`, as the kernel command line and the serial number
//! of the machine have them: they give the host name, and say that a seed is to come.
//! <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>

use crate::console::shown;
use crate::settings::keys::{SettingError, first_label};
use crate::settings::{Settings, Sourced};

const FORMS: [&str; 2] = ["ds=nocloud", "ds=nocloud-net"];

/// Adds what a word of `place` says to what the words before it said; one in another form says nothing.
///
/// # Errors
/// The host name is given twice or is none.
pub fn read(place: &str, word: &str, said: &mut Settings) -> Result<(), SettingError> {
    let mut parts = word.split(';');
    if !parts.next().is_some_and(|first| FORMS.contains(&first)) {
        return Ok(());
    }
    let mut elsewhere = false;
    for part in parts.filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((key @ ("h" | "local-hostname"), name)) => {
                let key = key.to_owned();
                let hostname = match first_label(name) {
                    Ok(label) => Sourced::new(label, format!("{place}, {key}")),
                    Err(expected) => return Err(SettingError::Value { key, value: shown(name), expected }),
                };
                if said.hostname.replace(hostname).is_some() {
                    return Err(SettingError::Twice(key));
                }
            }
            other => {
                // With an address, the seed is on a server and not on a disk.
                elsewhere |= matches!(other, Some(("s" | "seedfrom", _)));
                said.ignored.push(format!("{place}, {}", shown(part)));
            }
        }
    }
    if !elsewhere {
        said.announced = Some(place.to_owned());
    }
    Ok(())
}
