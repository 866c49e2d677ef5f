//! What is asked for once and goes to no store: an archive's signed index, a list of checksums, where an address leads.
//!
//! Nothing of it is verified here; whoever asks does that.

use std::io::{self, Read};
use std::path::Path;

use fs_err as fs;

use crate::fetch::address::{Attempt, Body, Clients, open};
use crate::fetch::attempt::{ATTEMPTS, LARGEST, STALL, pause, tried};
use crate::fetch::error::FetchError;
use crate::ground::error::Result;

/// Copies a file that something else verifies, such as an archive's signed index, from the first of some addresses
/// that has it to `path`.
///
/// # Errors
/// [`FetchError`] when it cannot be had.
pub fn unverified(urls: &[String], path: &Path) -> Result<()> {
    ask(urls, |mut body| {
        let mut file = fs::File::create(path)?;
        let copied = io::copy(&mut body.bytes.by_ref().take(LARGEST + 1), &mut file);
        match copied.map_err(|error| Attempt::Later(error.to_string()))? {
            size if size > LARGEST => Err(Attempt::Wrong(format!("it has more than {LARGEST} bytes"))),
            _ => Ok(()),
        }
    })
}

/// Where the first of some addresses that answers leads to by redirects.
///
/// # Errors
/// [`FetchError`] when none answers.
pub fn destination(urls: &[String]) -> Result<String> {
    ask(urls, |body| Ok(body.url))
}

/// What `take` makes of the first answer.
fn ask<T>(urls: &[String], mut take: impl FnMut(Body) -> Result<T, Attempt>) -> Result<T> {
    let clients = Clients::new(STALL)?;
    let mut last = String::new();
    for url in urls {
        for attempt in 0..ATTEMPTS {
            pause(attempt);
            match open(&clients, url, 0).and_then(&mut take) {
                Ok(taken) => return Ok(taken),
                Err(Attempt::Later(message) | Attempt::Wrong(message)) => last = message,
                Err(Attempt::Host(error)) => return Err(error.into()),
                Err(Attempt::NotThere) => {
                    last = "it is not there".to_owned();
                    break;
                }
                Err(Attempt::Refused(message)) => {
                    last = message;
                    break;
                }
            }
        }
    }
    let subject = urls.first().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned();
    Err(FetchError::Network { subject, message: last, tried: tried(urls) }.into())
}
