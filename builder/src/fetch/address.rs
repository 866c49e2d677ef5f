//! One address: opening it, by HTTP or on this host, from any byte on, and how that may fail.
//!
//! It does not know what a file should be; the module above does.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_RANGE, RANGE, RETRY_AFTER};

use crate::fetch::credentials::{Credentials, shown};
use crate::fetch::error::FetchError;
use crate::fetch::pace::Paced;

/// How long a connection may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(20);

/// Two clients: the host's proxy, which the usual environment variables name, is not asked for what the host itself
/// serves.
pub(super) struct Clients {
    outside: Client,
    here: Client,
    credentials: Credentials,
    stall: Duration,
}

impl Clients {
    pub(super) fn new(stall: Duration) -> Result<Self, FetchError> {
        crate::ground::tls::prepare();
        let credentials = Credentials::find()?;
        let client = || {
            // The blocking client's time-out is one for each wait: for the answer, then for each piece of the body.
            let client = Client::builder().connect_timeout(CONNECT).timeout(stall).tcp_keepalive(stall);
            client.redirect(reqwest::redirect::Policy::limited(5))
        };
        let failed = |error: reqwest::Error| FetchError::Client { message: causes(&error) };
        let here = client().no_proxy().build().map_err(failed)?;
        Ok(Self { outside: client().build().map_err(failed)?, here, credentials, stall })
    }

    fn of(&self, url: &reqwest::Url) -> &Client {
        if url.host_str().is_some_and(is_here) { &self.here } else { &self.outside }
    }
}

/// Whether a host is this one.
pub(crate) fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// An error of the network with what is beneath it, but for the address.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let beneath = std::iter::successors(error.source(), |error| error.source());
    beneath.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// How one address failed.
pub(super) enum Attempt {
    /// It has no such file.
    NotThere,
    /// Another attempt may go better.
    Later(String),
    /// It wants to know who asks.
    Refused(String),
    /// It has something else; this is what.
    Wrong(String),
    /// It is not its fault: what came could not be written.
    Host(io::Error),
}

/// What an address answers.
pub(super) struct Body {
    pub(super) bytes: Box<dyn Read>,
    /// The address that it came from, after redirects.
    pub(super) url: String,
    /// It goes on where the partial file ends.
    pub(super) resumed: bool,
    /// Its end is the file's end: it said how long it is.
    pub(super) sized: bool,
}

impl From<io::Error> for Attempt {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

/// The body of an address, from byte `from` on when the server goes along with that.
pub(super) fn open(clients: &Clients, url: &str, from: u64) -> Result<Body, Attempt> {
    if let Some(path) = url.strip_prefix("file://") {
        let mut file = match open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Attempt::NotThere),
            Err(error) => return Err(Attempt::Later(format!("{path}: {error}"))),
        };
        file.seek(SeekFrom::Start(from)).map_err(|error| Attempt::Later(format!("{path}: {error}")))?;
        return Ok(Body { bytes: Box::new(file), url: url.to_owned(), resumed: true, sized: true });
    }
    // The one place where a connection begins, but for those to registries (`oci::registry`).
    if crate::ground::offline::is_forbidden() {
        return Err(Attempt::Later("--offline forbids the network".to_owned()));
    }
    let address =
        reqwest::Url::parse(url).map_err(|error| Attempt::Refused(format!("{}: {error}", shown(url))))?;
    let request = clients.of(&address).get(address.clone());
    let mut request = clients.credentials.add(request, &address);
    if from > 0 {
        request = request.header(RANGE, format!("bytes={from}-"));
    }
    let response = request.send().map_err(|error| Attempt::Later(causes(&error.without_url())))?;
    let body = |response: Response, resumed| {
        let sized = response.content_length().is_some();
        let url = response.url().to_string();
        Ok(Body { bytes: Box::new(Paced::new(response, clients.stall)), url, resumed, sized })
    };
    match response.status() {
        StatusCode::PARTIAL_CONTENT if starts_at(&response, from) => body(response, true),
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            Err(Attempt::Wrong(format!("answered {}", response.status())))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Err(Attempt::NotThere),
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(Attempt::Refused(format!("{} answered {}", shown(url), response.status())))
        }
        status if status.is_success() => body(response, false),
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
            let Some(wait) = retry_after(&response) else {
                return Err(Attempt::Later(format!("{} answered {status}", shown(url))));
            };
            if wait <= LONGEST_WAIT {
                std::thread::sleep(wait);
            }
            let seconds = wait.as_secs();
            Err(Attempt::Later(format!(
                "{} answered {status}, to be asked again after {seconds} s",
                shown(url)
            )))
        }
        status => Err(Attempt::Later(format!("{} answered {status}", shown(url)))),
    }
}

/// A file of this machine: by the path as it is, else as addresses write paths, with `%20` for a space.
fn open_file(path: &str) -> io::Result<std::fs::File> {
    let found = std::fs::File::open(path);
    match &found {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.contains('%') => {
            std::fs::File::open(&*percent_decode_str(path).decode_utf8_lossy()).or(found)
        }
        _ => found,
    }
}

/// The longest that a server is waited for that is busy and says until when.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a busy server wants to be left alone: seconds (RFC 9110, 10.2.3). One that says a date is asked as usual.
fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a partial answer is the part that was asked for: `Content-Range: bytes 5-9/10` (RFC 9110, 14.4).
fn starts_at(response: &Response, from: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()) == Some(from)
}
