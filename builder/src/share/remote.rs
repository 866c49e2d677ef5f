//! A remote place that holds files by name: a folder, S3, Google Cloud Storage, Azure or a web server, through
//! `object_store`.
//!
//! It moves bytes and believes nothing: what they should be, the module above compares.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fs_err as fs;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path as Location;
use object_store::{Error, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutPayload, WriteMultipart};
use tokio::runtime::Runtime;

use crate::fetch::Paced;
use crate::ground::error::Result;
use crate::share::ShareError;
use crate::share::service::{self, Address, Secrets};

/// How long a server may say nothing.
const STALL: Duration = Duration::from_secs(60);

/// What is larger is sent in parts of this size, in bytes, so that it need not fit into the memory.
const PART: usize = 10 << 20;

/// Parts on their way at a time.
const PARTS: usize = 4;

/// A remote place.
pub struct Remote {
    store: Arc<dyn ObjectStore>,
    base: Location,
    runtime: Runtime,
    /// Its address for people.
    shown: String,
    /// The folder, when it is one of this machine.
    folder: Option<PathBuf>,
    /// It takes a file in one piece only.
    whole: bool,
    secrets: Secrets,
    stall: Duration,
}

impl Remote {
    /// Opens a place by its address: `file:///…`, `s3://BUCKET/…`, `gs://BUCKET/…`, `az://CONTAINER/…`, `https://…`. Asks
    /// nothing of it yet.
    ///
    /// # Errors
    /// [`ShareError::Address`] when it is none that can be used, [`ShareError::Offline`] when the network is forbidden,
    /// or when a file of credentials cannot be read.
    pub fn open(address: &str) -> Result<Self> {
        Self::open_within(address, STALL)
    }

    /// As [`Remote::open`], with the longest time that a server may say nothing.
    ///
    /// # Errors
    /// As [`Remote::open`].
    pub fn open_within(address: &str, stall: Duration) -> Result<Self> {
        let Address { url, scheme, base, shown } = Address::parse(address)?;
        let folder = match scheme {
            ObjectStoreScheme::Local => url.to_file_path().ok(),
            _ if crate::ground::offline::is_forbidden() => {
                return Err(ShareError::Offline { address: shown }.into());
            }
            _ => None,
        };
        let whole = matches!(scheme, ObjectStoreScheme::Http);
        let (store, secrets) = service::connect(&scheme, url, &shown)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { store, base, runtime, shown, folder, whole, secrets, stall })
    }

    /// Its address without what is secret.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn location(&self, name: &str) -> Location {
        name.split('/').fold(self.base.clone(), |path, part| path.join(part))
    }

    /// What is beneath it tells more than what `object_store` says of its attempts.
    fn innermost(&self, error: &Error) -> String {
        let beneath = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        self.secrets.line(&beneath.last().map(ToString::to_string).unwrap_or_default())
    }

    fn failed(&self, name: &str, error: &Error) -> ShareError {
        let (address, name, message) = (self.shown.clone(), name.to_owned(), self.innermost(error));
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                ShareError::Refused { address, name, message }
            }
            _ => ShareError::Remote { address, name, message },
        }
    }

    pub(super) fn broken(&self, name: &str, message: &str) -> ShareError {
        ShareError::Remote { address: self.shown.clone(), name: name.to_owned(), message: message.to_owned() }
    }

    /// Waits for an answer, but not for ever: attempts, with pauses between them, and each may be silent.
    fn answer<T>(
        &self,
        name: &str,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, ShareError> {
        let patience = self.stall * (service::RETRIES + 1);
        match self.runtime.block_on(async { tokio::time::timeout(patience, asked).await }) {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(self.failed(name, &error)),
            Err(_) => Err(self.broken(name, "it does not answer")),
        }
    }

    /// What is there under a name of a folder must be a file: to open a pipe would wait for ever.
    fn is_file(&self, name: &str) -> Result<(), ShareError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        match std::fs::metadata(folder.join(name)) {
            Ok(metadata) if !metadata.is_file() => Err(self.broken(name, "it is no file")),
            _ => Ok(()),
        }
    }

    /// Whether it has a file, of so many bytes.
    ///
    /// # Errors
    /// [`ShareError::Remote`], [`ShareError::Refused`].
    pub fn has(&self, name: &str, size: u64) -> Result<bool, ShareError> {
        self.is_file(name)?;
        let location = self.location(name);
        Ok(self.answer(name, self.store.head(&location))?.is_some_and(|found| found.size == size))
    }

    /// Copies a file there; it appears when it is whole.
    ///
    /// # Errors
    /// [`ShareError::Remote`], [`ShareError::Refused`], or when the file cannot be read.
    pub fn put(&self, name: &str, path: &Path) -> Result<()> {
        let (location, size) = (self.location(name), fs::metadata(path)?.len());
        if self.whole || size <= PART as u64 {
            let payload = PutPayload::from(fs::read(path)?);
            let sent = self.runtime.block_on(self.store.put(&location, payload));
            return Ok(sent.map(drop).map_err(|error| self.failed(name, &error))?);
        }
        let mut file = fs::File::open(path)?;
        self.runtime.block_on(async {
            let failed = |error: Error| self.failed(name, &error);
            let upload = self.store.put_multipart(&location).await.map_err(failed)?;
            let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
            let mut buffer = vec![0; 1 << 20];
            let sent: Result<()> = async {
                loop {
                    let read = file.read(&mut buffer)?;
                    if read == 0 {
                        return Ok(());
                    }
                    parts.wait_for_capacity(PARTS).await.map_err(failed)?;
                    parts.write(&buffer[..read]);
                }
            }
            .await;
            match sent {
                Ok(()) => Ok(parts.finish().await.map(drop).map_err(failed)?),
                Err(error) => {
                    // What is told is why it failed, not that something is left there.
                    let _ = parts.abort().await;
                    Err(error)
                }
            }
        })
    }

    /// The bytes of a file; nothing when it is not there.
    ///
    /// # Errors
    /// [`ShareError::Remote`], [`ShareError::Refused`].
    pub(super) fn get(&self, name: &str) -> Result<Option<Paced<Body<'_>>>, ShareError> {
        self.is_file(name)?;
        let location = self.location(name);
        let Some(found) = self.answer(name, self.store.get(&location))? else { return Ok(None) };
        let body = Body { remote: self, stream: found.into_stream(), part: Bytes::new() };
        Ok(Some(Paced::new(body, self.stall)))
    }
}

/// A stream as something to read from.
pub(super) struct Body<'a> {
    remote: &'a Remote,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    part: Bytes,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            let next = async { tokio::time::timeout(self.remote.stall, self.stream.next()).await };
            match self.remote.runtime.block_on(next) {
                Ok(Some(Ok(part))) => self.part = part,
                Ok(Some(Err(error))) => {
                    return Err(io::Error::other(self.remote.innermost(&error)));
                }
                Ok(None) => return Ok(0),
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "it falls silent")),
            }
        }
        let read = self.part.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.part.split_to(read));
        Ok(read)
    }
}
