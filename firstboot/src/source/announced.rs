//! cloud-init's words for its NoCloud source, `ds=nocloud;KEY=VALUE…`, as the kernel command line and the serial number
//! of the machine have them: they give the host name, and say that a seed is to come.
//! <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>

use super::Settings;
use crate::console::shown;

const FORMS: [&str; 2] = ["ds=nocloud", "ds=nocloud-net"];

/// What the words of one place say.
#[derive(Debug, Default)]
pub struct Announced {
    hostnames: Vec<String>,
    ignored: Vec<String>,
    by: Option<String>,
}

impl Announced {
    /// Reads a word of `place`; one in another form says nothing.
    pub fn read(&mut self, place: &str, word: &str) {
        let mut parts = word.split(';');
        if !parts.next().is_some_and(|first| FORMS.contains(&first)) {
            return;
        }
        let mut elsewhere = false;
        for part in parts.filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("h" | "local-hostname", name)) => self.hostnames.push(name.to_owned()),
                other => {
                    // With an address, the seed is on a server and not on a disk.
                    elsewhere |= matches!(other, Some(("s" | "seedfrom", _)));
                    self.ignored.push(format!("{place}, {}", shown(part)));
                }
            }
        }
        if !elsewhere {
            self.by = Some(place.to_owned());
        }
    }

    /// What it says, as keys of [`Settings`] and their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.hostnames.iter().map(|name| ("hostname", &**name))
    }

    /// Adds what is no value of the node.
    pub fn record(self, settings: &mut Settings) {
        settings.ignored.extend(self.ignored);
        settings.announced = self.by;
    }
}
