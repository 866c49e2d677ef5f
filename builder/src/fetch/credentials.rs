//! Who one is to a server: what its address says, else the user's netrc file, as other programs read it (the file that
//! NETRC names, else ~/.netrc).
//!
//! What it finds goes into requests and nowhere else: no message, log, lock or hash has it.

use netrc::Netrc;
use reqwest::Url;
use reqwest::blocking::RequestBuilder;

use crate::fetch::error::FetchError;

/// The user's netrc file, when there is one.
pub(crate) struct Credentials(Option<Netrc>);

impl Credentials {
    /// Reads the netrc file.
    pub(crate) fn find() -> Result<Self, FetchError> {
        let Some(path) = Netrc::get_file() else { return Ok(Self(None)) };
        match Netrc::from_file(&path) {
            Ok(netrc) => Ok(Self(Some(netrc))),
            // What its parser says may quote a password.
            Err(_) => Err(FetchError::Netrc { path }),
        }
    }

    /// Adds to a request what its server may want to know. A redirect to another server does not get it.
    pub(super) fn add(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        // The client itself takes them from the address.
        if !url.username().is_empty() || url.password().is_some() {
            return request;
        }
        match url.host_str().and_then(|host| self.of(host)) {
            Some((login, password)) => request.basic_auth(login, Some(password)),
            None => request,
        }
    }

    /// Name and password for a host.
    pub(crate) fn of(&self, host: &str) -> Option<(&str, &str)> {
        let hosts = &self.0.as_ref()?.hosts;
        let found = hosts.get(host).or_else(|| hosts.get("default"))?;
        Some((&found.login, &found.password))
    }
}

/// An address as it may be shown: without name and password.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_is_shown_without_name_and_password() {
        for (url, expected) in [
            ("https://me:pass@host.example/a@b", "https://host.example/a@b"),
            ("http://p@ss:w@ord@host", "http://host"),
            ("https://host.example/a@b?c@d", "https://host.example/a@b?c@d"),
            ("file:///srv/a@b", "file:///srv/a@b"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
