//! Brings what a build needs into the store: in parallel, resuming, hashed while it streams, admitted only when the
//! SHA-256 is the lock's.
//!
//! It knows the store's partial files; which mirror serves an archive is `mirror`'s concern.

mod address;
mod attempt;
mod credentials;
mod error;
mod item;
pub mod local;
mod once;
mod pace;

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use fs_err as fs;

use crate::ground::error::Result;
use crate::ground::hash::HashWriter;
use crate::ground::parallel;
use crate::ground::progress::{Progress, Task};
use crate::store::Store;
use address::{Attempt, Clients, open};
pub(crate) use address::{CONNECT, causes, is_here};
pub(crate) use attempt::{ATTEMPTS, STALL, pause};
use attempt::{LARGEST, tried};
pub(crate) use credentials::{Credentials, shown};
pub use error::FetchError;
pub use item::{Item, Origin};
pub use once::{destination, unverified};
pub(crate) use pace::Paced;

/// Downloads at a time.
const PARALLEL: usize = 6;

/// Brings every item into the store; those that are there cost a look.
///
/// # Errors
/// [`FetchError`] of the first item that fails; the others' partial files stay for the next time.
pub fn fetch(store: &Store, items: Vec<Item>, offline: bool, progress: &Progress) -> Result<()> {
    fetch_within(store, items, offline, STALL, progress)
}

/// As [`fetch`], with the longest time that a server may say nothing.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_within(
    store: &Store,
    items: Vec<Item>,
    offline: bool,
    stall: Duration,
    progress: &Progress,
) -> Result<()> {
    let mut missing: Vec<Item> = items.into_iter().filter(|item| !store.file(&item.hash).exists()).collect();
    missing.sort_by(|a, b| a.hash.cmp(&b.hash));
    missing.dedup_by(|a, b| a.hash == b.hash);
    if offline || crate::ground::offline::is_forbidden() {
        // This machine is no network.
        missing.iter_mut().for_each(|item| item.urls.retain(|url| url.starts_with("file://")));
        let mut nowhere = missing.iter().filter(|item| item.urls.is_empty());
        if let Some(Item { subject, .. }) = nowhere.next() {
            return Err(FetchError::Offline { subject: subject.clone(), missing: 1 + nowhere.count() }.into());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let total = missing.iter().filter_map(|item| item.size).sum();
    let need = missing.iter().map(|item| store.lacking(&item.hash, item.size)).sum();
    store.need(need, "the downloads").check()?;
    let task = progress.bytes(&format!("fetching {} files, {} MB", missing.len(), total / 1_000_000), total);
    let clients = Clients::new(stall)?;
    // The largest first, taken from the end; what has no size is no small package.
    missing.sort_by_key(|item| item.size.unwrap_or(LARGEST));
    parallel::drain(missing, PARALLEL, |item| fetch_one(store, &clients, &item, &task))?;
    task.finish();
    Ok(())
}

fn fetch_one(store: &Store, clients: &Clients, item: &Item, task: &Task<'_>) -> Result<()> {
    let _lock = store.lock(item.hash.as_str())?;
    if store.file(&item.hash).exists() {
        task.advance(item.size.unwrap_or(0));
        return Ok(());
    }
    let mut last = None;
    for url in &item.urls {
        for attempt in 0..ATTEMPTS {
            pause(attempt);
            match download(store, clients, item, url, task) {
                Ok(()) => return Ok(store.admit(&item.hash)?),
                Err(Attempt::NotThere) => break,
                Err(Attempt::Host(error)) => {
                    let need = store.need(item.size.unwrap_or(0), "a download");
                    return Err(need.explain(error.into()));
                }
                Err(Attempt::Wrong(found)) => {
                    let (subject, expected) = (item.subject.clone(), item.hash.clone());
                    let (url, origin) = (shown(url), item.origin);
                    last = Some(FetchError::Mismatch { subject, expected, found, url, origin });
                    break;
                }
                Err(Attempt::Refused(message)) => {
                    let subject = item.subject.clone();
                    last = Some(FetchError::Refused { subject, message });
                    break;
                }
                Err(Attempt::Later(message)) => {
                    let subject = item.subject.clone();
                    last = Some(FetchError::Network { subject, message, tried: tried(&item.urls) });
                }
            }
        }
    }
    let subject = || item.subject.clone();
    Err(last
        .unwrap_or_else(|| FetchError::Gone {
            subject: subject(),
            tried: tried(&item.urls),
            origin: item.origin,
        })
        .into())
}

/// One attempt at one address: continues the partial file, hashing what is there already.
fn download(
    store: &Store,
    clients: &Clients,
    item: &Item,
    url: &str,
    task: &Task<'_>,
) -> Result<(), Attempt> {
    let path = store.partial(&item.hash);
    let mut file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    let limit = item.size.unwrap_or(LARGEST);
    let mut digest = item.hash.digest();
    let mut have = io::copy(&mut file, &mut HashWriter(digest.as_mut()))?;
    if have > limit {
        (digest, have) = (item.hash.digest(), 0);
        file.set_len(0)?;
    }
    let before = have;
    // Without a size, only the checksum tells that everything is there.
    let complete = match item.size {
        Some(size) => have == size,
        None => hex::encode(digest.box_clone().finalize()) == item.hash.as_str(),
    };
    let mut resumed = complete;
    let mut ended = true;
    if !complete {
        let mut body = match open(clients, url, have) {
            // What is there so far is no beginning of this file, or this server's file is shorter.
            Err(Attempt::Wrong(_)) if have > 0 => {
                fs::remove_file(&path)?;
                return Err(Attempt::Later(format!("{} cannot go on at byte {have}", shown(url))));
            }
            other => other?,
        };
        resumed = body.resumed;
        if !resumed && have > 0 {
            (digest, have) = (item.hash.digest(), 0);
        }
        file.set_len(have)?;
        file.seek(SeekFrom::Start(have))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let failed = |error: io::Error| Attempt::Later(format!("{}: {error}", shown(url)));
            let read = body.bytes.read(&mut buffer).map_err(failed)?;
            // One byte too many is enough to know that it is wrong.
            if read == 0 || have > limit {
                break;
            }
            digest.update(&buffer[..read]);
            file.write_all(&buffer[..read])?;
            have += read as u64;
            task.advance(read as u64);
        }
        ended = item.size.is_none_or(|size| have >= size) || body.sized;
    }
    if !ended {
        return Err(Attempt::Later(format!("{} ended after {have} of {limit} bytes", shown(url))));
    }
    let found = hex::encode(digest.finalize());
    if found == item.hash.as_str() {
        return Ok(file.sync_all()?);
    }
    fs::remove_file(&path)?;
    if resumed && before > 0 {
        // The fault may be in what an earlier attempt left: once more from the start.
        return Err(Attempt::Later(format!("{} does not go with what was there", shown(url))));
    }
    let found = format!("{}:{found}", item.hash.kind());
    Err(Attempt::Wrong(match item.size {
        _ if have > limit => format!("more than {limit} bytes"),
        Some(size) if have < size => format!("{found}, {have} bytes of {size}"),
        _ => found,
    }))
}
