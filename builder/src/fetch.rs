//! Brings what a build needs into the store: in parallel, resuming, hashed while it streams, admitted only when the
//! SHA-256 is the lock's.
//!
//! It knows the store's partial files; which mirror serves an archive is `mirror`'s concern.

mod address;

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;
use std::time::Duration;

use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::error::{Class, Explain, Result};
use crate::lock::format::Sha256Hex;
use crate::progress::{Progress, Task};
use crate::store::Store;
use address::{Attempt, Clients, open};

/// Downloads at a time.
const PARALLEL: usize = 6;

/// Attempts at one address before the next one.
const ATTEMPTS: u32 = 3;

/// How long a server may say nothing.
const STALL: Duration = Duration::from_secs(60);

/// A file that the lock names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is, for people: `etcd-server 3.5.16-4`.
    pub subject: String,
    /// Where it may be had, in order.
    pub urls: Vec<String>,
    /// Bytes.
    pub size: u64,
    /// Content.
    pub sha256: Sha256Hex,
}

/// Why a file did not reach the store.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What came is not what the lock says.
    #[error(
        "{subject}: the checksum does not match\n  expected sha256:{expected}\n  found    {found}\n  from     {url}"
    )]
    Mismatch {
        /// What it should have been.
        subject: String,
        /// The lock's hash.
        expected: Sha256Hex,
        /// The hash of what came, or that it never ended.
        found: String,
        /// The last address.
        url: String,
    },
    /// No address has it any more.
    #[error(
        "{subject} is not on any mirror any more (tried {tried}); Debian's pool drops packages at point releases"
    )]
    Gone {
        /// The file.
        subject: String,
        /// The addresses.
        tried: String,
    },
    /// The network failed.
    #[error("fetching {subject}: {message} (tried {tried})")]
    Network {
        /// The file.
        subject: String,
        /// The last failure.
        message: String,
        /// The addresses.
        tried: String,
    },
    /// The network was forbidden.
    #[error("{subject} is not in the store, and --offline forbids fetching it ({missing} files are missing)")]
    Offline {
        /// The first missing file.
        subject: String,
        /// How many are missing.
        missing: usize,
    },
}

impl Explain for FetchError {
    fn class(&self) -> Class {
        match self {
            Self::Offline { .. } => Class::Input,
            _ => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Mismatch { .. } => {
                "nothing of it entered the store; try another mirror with `--debian-mirror URL`".to_owned()
            }
            Self::Gone { .. } => {
                "run `builder lock update`, or name a snapshot mirror in the configuration".to_owned()
            }
            Self::Network { .. } => "run the same command again: it resumes where it stopped".to_owned(),
            Self::Offline { .. } => {
                "run `builder fetch` with the same arguments where there is a network".to_owned()
            }
        })
    }
}

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
    let mut missing: Vec<Item> =
        items.into_iter().filter(|item| !store.file(&item.sha256).exists()).collect();
    missing.sort_by(|a, b| a.sha256.cmp(&b.sha256));
    missing.dedup_by(|a, b| a.sha256 == b.sha256);
    let Some(first) = missing.first() else { return Ok(()) };
    if offline {
        return Err(FetchError::Offline { subject: first.subject.clone(), missing: missing.len() }.into());
    }
    let total = missing.iter().map(|item| item.size).sum();
    let task = progress.bytes(&format!("fetching {} files, {} MB", missing.len(), total / 1_000_000), total);
    let clients = clients(stall)?;
    // The largest first, taken from the end.
    missing.sort_by_key(|item| item.size);
    let queue = Mutex::new(missing);
    std::thread::scope(|scope| {
        let work = || {
            while let Some(item) = queue.lock().ok().and_then(|mut queue| queue.pop()) {
                if let Err(error) = fetch_one(store, &clients, &item, &task) {
                    // The other workers stop after the file in hand.
                    queue.lock().map(|mut queue| queue.clear()).ok();
                    return Err(error);
                }
            }
            Ok(())
        };
        let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    task.finish();
    Ok(())
}

/// Copies a file that something else verifies, such as an archive's signed index, to `path`.
///
/// # Errors
/// [`FetchError`] when it cannot be had.
pub fn unverified(url: &str, path: &std::path::Path) -> Result<()> {
    let clients = clients(STALL)?;
    let mut last = String::new();
    for attempt in 0..ATTEMPTS {
        pause(attempt);
        let copied = open(&clients, url, 0).and_then(|mut body| {
            let mut file = fs::File::create(path)?;
            Ok(io::copy(&mut body.bytes, &mut file)?)
        });
        match copied {
            Ok(_) => return Ok(()),
            Err(Attempt::Later(message) | Attempt::Wrong(message)) => last = message,
            Err(Attempt::NotThere) => {
                last = "it is not there".to_owned();
                break;
            }
        }
    }
    let subject = url.rsplit('/').next().unwrap_or(url).to_owned();
    Err(FetchError::Network { subject, message: last, tried: url.to_owned() }.into())
}

fn clients(stall: Duration) -> Result<Clients, FetchError> {
    Clients::new(stall).map_err(|message| {
        let (subject, tried) = ("the first file".to_owned(), "nothing".to_owned());
        FetchError::Network { subject, message, tried }
    })
}

/// Waits before every attempt but the first.
fn pause(attempt: u32) {
    if attempt > 0 {
        std::thread::sleep(Duration::from_millis(150 << attempt));
    }
}

fn fetch_one(store: &Store, clients: &Clients, item: &Item, task: &Task<'_>) -> Result<()> {
    let _lock = store.lock(item.sha256.as_str())?;
    if store.file(&item.sha256).exists() {
        task.advance(item.size);
        return Ok(());
    }
    let tried = || item.urls.join(", ");
    let mut last = None;
    for url in &item.urls {
        for attempt in 0..ATTEMPTS {
            pause(attempt);
            match download(store, clients, item, url, task) {
                Ok(()) => return Ok(store.admit(&item.sha256)?),
                Err(Attempt::NotThere) => break,
                Err(Attempt::Wrong(found)) => {
                    let (subject, expected) = (item.subject.clone(), item.sha256.clone());
                    last = Some(FetchError::Mismatch { subject, expected, found, url: url.clone() });
                    break;
                }
                Err(Attempt::Later(message)) => {
                    let subject = item.subject.clone();
                    last = Some(FetchError::Network { subject, message, tried: tried() });
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| FetchError::Gone { subject: item.subject.clone(), tried: tried() }).into())
}

/// One attempt at one address: continues the partial file, hashing what is there already.
fn download(
    store: &Store,
    clients: &Clients,
    item: &Item,
    url: &str,
    task: &Task<'_>,
) -> Result<(), Attempt> {
    let path = store.partial(&item.sha256);
    let mut file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    let mut hasher = Sha256::new();
    let mut have = io::copy(&mut file, &mut HashWriter(&mut hasher))?;
    if have > item.size {
        (hasher, have) = (Sha256::new(), 0);
        file.set_len(0)?;
    }
    let before = have;
    let mut resumed = have == item.size;
    let mut whole = true;
    if have < item.size {
        let mut body = match open(clients, url, have) {
            // What is there so far is no beginning of this file, or this server's file is shorter.
            Err(Attempt::Wrong(_)) if have > 0 => {
                fs::remove_file(&path)?;
                return Err(Attempt::Later(format!("{url} cannot go on at byte {have}")));
            }
            other => other?,
        };
        resumed = body.resumed;
        if !resumed && have > 0 {
            (hasher, have) = (Sha256::new(), 0);
        }
        file.set_len(have)?;
        file.seek(SeekFrom::Start(have))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = body.bytes.read(&mut buffer)?;
            // One byte too many is enough to know that it is wrong.
            if read == 0 || have > item.size {
                break;
            }
            hasher.update(&buffer[..read]);
            file.write_all(&buffer[..read])?;
            have += read as u64;
            task.advance(read as u64);
        }
        whole = have == item.size || body.sized;
    }
    if !whole && have < item.size {
        return Err(Attempt::Later(format!("{url} ended after {have} of {} bytes", item.size)));
    }
    let found = hex::encode(hasher.finalize());
    if found == item.sha256.as_str() {
        return Ok(file.sync_all()?);
    }
    fs::remove_file(&path)?;
    if resumed && before > 0 {
        // The fault may be in what an earlier attempt left: once more from the start.
        return Err(Attempt::Later(format!("{url} does not go with what was there")));
    }
    Err(Attempt::Wrong(match have.cmp(&item.size) {
        std::cmp::Ordering::Less => format!("sha256:{found}, {have} bytes of {}", item.size),
        std::cmp::Ordering::Equal => format!("sha256:{found}"),
        std::cmp::Ordering::Greater => format!("more than {} bytes", item.size),
    }))
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
