//! Asking one metadata server, again and again until the time is over.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Answer, Request, send};
use crate::schema::Cloud;
use crate::source::error::MetadataError;

/// The longest that one request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long to wait before the server is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// What a cloud's server says, before it is read.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) instance_id: String,
    pub(super) hostname: Option<String>,
    pub(super) address: Option<String>,
    pub(super) keys: Vec<String>,
    pub(super) user_data: Option<Vec<u8>>,
}

/// Asks one server, again and again until the time is over.
pub(super) struct Client {
    pub(super) cloud: Cloud,
    pub(super) server: SocketAddr,
    pub(super) start: Instant,
    pub(super) wait: Duration,
}

impl Client {
    /// The body; `None` when there is no such thing there.
    pub(super) fn get(&self, path: &str, fields: &[(&str, &str)]) -> Result<Option<Vec<u8>>, MetadataError> {
        Ok(self.ask(&Request { method: "GET", path, fields })?.map(|answer| answer.body))
    }

    /// As [`Client::get`], for a line of text.
    pub(super) fn line(&self, path: &str, fields: &[(&str, &str)]) -> Result<Option<String>, MetadataError> {
        self.get(path, fields)?.map(|body| self.text(path, body)).transpose()
    }

    pub(super) fn text(&self, path: &str, body: Vec<u8>) -> Result<String, MetadataError> {
        let text = String::from_utf8(body).ok().map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty() && !text.chars().any(|char| char.is_control() && char != '\n'))
            .ok_or_else(|| self.wrong(path, "the answer is no text".to_owned()))
    }

    pub(super) fn ask(&self, request: &Request<'_>) -> Result<Option<Answer>, MetadataError> {
        loop {
            let left = self.wait.saturating_sub(self.start.elapsed());
            // A server that is there answers at once; it is asked once even when there is no time to wait.
            let last = match send(self.server, request, REQUEST.min(left.max(PAUSE))) {
                Ok(answer) => match answer.status {
                    200 => return Ok(Some(answer)),
                    404 => return Ok(None),
                    408 | 429 | 500.. => format!("status {}", answer.status),
                    status => {
                        let (cloud, path) = (self.cloud, request.path.to_owned());
                        let hint = if status == 403 { "; it is switched off for this machine" } else { "" };
                        return Err(MetadataError::Refused { cloud, path, status, hint });
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(self.wrong(request.path, error.to_string()));
                }
                Err(error) => error.to_string(),
            };
            if self.start.elapsed() + PAUSE >= self.wait {
                let (cloud, server, seconds) = (self.cloud, self.server, self.wait.as_secs());
                let path = request.path.to_owned();
                return Err(MetadataError::Silent { cloud, path, server, seconds, last });
            }
            thread::sleep(PAUSE);
        }
    }

    /// What has to be there.
    pub(super) fn needed<T>(&self, path: &str, found: Option<T>) -> Result<T, MetadataError> {
        found.ok_or_else(|| self.wrong(path, "there is no such thing".to_owned()))
    }

    pub(super) fn wrong(&self, path: &str, what: String) -> MetadataError {
        MetadataError::Wrong { cloud: self.cloud, path: path.to_owned(), what }
    }
}
