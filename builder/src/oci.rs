//! Container images of registries: by digest and for one architecture into the store, each part verified before it is
//! there. Credentials, prefix maps and `--offline` hold as for other downloads.
//!
//! [`place`] says where to ask, [`layout`] what an image consists of, `registry` how to ask. What machines import is
//! made of the parts by `stage::container`.

mod error;
pub mod layout;
mod part;
pub mod place;
mod registry;

use std::io;
use std::path::PathBuf;

use fs_err as fs;
use oci_client::Reference;

use crate::fetch::{ATTEMPTS, pause};
use crate::ground::arch::Arch;
use crate::ground::error::{Error, Result};
use crate::ground::hash::{Digest, Sha256Hex};
use crate::ground::progress::Progress;
use crate::ground::reference;
use crate::ground::repro::sha256_hex;
use crate::mirror::Mirrors;
use crate::store::Store;
pub use error::OciError;
pub use layout::{Contents, Part, contents};
use part::Growing;
use place::Place;
use registry::{Attempt, Connection};

/// An image that the lock names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its reference, for people.
    pub reference: String,
    /// An index or a manifest.
    pub digest: Digest,
    /// For which architecture.
    pub arch: Arch,
    /// Where it may be had, in order.
    pub places: Vec<Place>,
}

impl Wanted {
    /// An image with the places that its reference and the prefix maps give.
    ///
    /// # Errors
    /// [`OciError::Reference`].
    pub fn new(reference: &str, digest: Digest, arch: Arch, mirrors: &Mirrors) -> Result<Self, OciError> {
        let places = place::places(&parse(reference)?, mirrors);
        Ok(Self { reference: reference.to_owned(), digest, arch, places })
    }
}

/// Reads a reference that is written out.
///
/// # Errors
/// [`OciError::Reference`].
pub fn parse(reference: &str) -> Result<Reference, OciError> {
    reference::parse(reference).map_err(|fact| OciError::Reference { reference: reference.to_owned(), fact })
}

/// Brings every part of the images into the store; those that are there cost a look.
///
/// # Errors
/// [`OciError`] of the first part that fails; a partial file stays for the next time.
pub fn fetch(store: &Store, images: &[Wanted], offline: bool, progress: &Progress) -> Result<()> {
    let offline = offline || crate::ground::offline::is_forbidden();
    for image in images {
        if stored(store, image).is_ok_and(|contents| missing(store, &contents).is_none()) {
            continue;
        }
        let task = progress.task(&format!("fetching {}", image.reference));
        let mut source = Source::new(image, offline)?;
        let contents = contents(&image.reference, &image.digest, image.arch, |part| {
            source.bring(store, part)?;
            Ok(fs::read(store.file(part.digest.sha256()))?)
        })?;
        store.need(lacking(store, &contents), "the downloads").check()?;
        contents.blobs.iter().try_for_each(|part| source.bring(store, part))?;
        task.finish();
    }
    Ok(())
}

/// What an image consists of, by what the store has of it.
///
/// # Errors
/// When the store lacks a document, or it leads to no image.
pub fn stored(store: &Store, image: &Wanted) -> Result<Contents> {
    contents(&image.reference, &image.digest, image.arch, |part| {
        Ok(fs::read(store.file(part.digest.sha256()))?)
    })
}

fn missing<'a>(store: &Store, contents: &'a Contents) -> Option<&'a Part> {
    contents.parts().find(|part| !store.file(part.digest.sha256()).exists())
}

/// The bytes of an image that the store has yet to take.
fn lacking(store: &Store, contents: &Contents) -> u64 {
    let missing = contents.blobs.iter().filter(|part| !store.file(part.digest.sha256()).exists());
    missing.map(|part| store.lacking(part.digest.sha256(), part.size)).fold(0, u64::saturating_add)
}

/// The digest that a tag leads to now, as the first place says that has it.
///
/// # Errors
/// [`OciError`] when no place has it.
pub fn resolve(reference: &str, mirrors: &Mirrors) -> Result<Digest> {
    let parsed = parse(reference)?;
    if let Some(digest) = parsed.digest() {
        let wrong = |fact| OciError::Reference { reference: reference.to_owned(), fact };
        return Ok(digest.parse().map_err(wrong)?);
    }
    let places = place::places(&parsed, mirrors);
    let mut source = Source { image: reference, connections: connect(places, false)? };
    let bytes = source.ask(parsed.tag().unwrap_or_default(), |connection, tag| match connection {
        Asked::Registry(registry) => registry.document(tag),
        Asked::Folder(_) => Err(Attempt::NotThere),
    })?;
    Ok(Digest::from(sha256_hex(bytes).parse::<Sha256Hex>().map_err(io::Error::other)?))
}

/// The places of one image, each with what it takes to ask it.
struct Source<'a> {
    image: &'a str,
    connections: Vec<(Place, Asked)>,
}

enum Asked {
    Registry(Box<Connection>),
    Folder(PathBuf),
}

fn connect(places: Vec<Place>, offline: bool) -> Result<Vec<(Place, Asked)>> {
    let mut connections = Vec::new();
    for place in places {
        let asked = match &place {
            // This machine is no network.
            Place::Folder(path) => Asked::Folder(path.clone()),
            Place::Registry(_) if offline => continue,
            Place::Registry(repository) => Asked::Registry(Box::new(Connection::new(repository)?)),
        };
        connections.push((place, asked));
    }
    Ok(connections)
}

impl<'a> Source<'a> {
    fn new(image: &'a Wanted, offline: bool) -> Result<Self> {
        let connections = connect(image.places.clone(), offline)?;
        if connections.is_empty() {
            return Err(OciError::Offline { image: image.reference.clone() }.into());
        }
        Ok(Self { image: &image.reference, connections })
    }

    /// Brings a part into the store unless it is there.
    fn bring(&mut self, store: &Store, part: &Part) -> Result<()> {
        let sha256 = part.digest.sha256();
        if store.file(sha256).exists() {
            return Ok(());
        }
        let _lock = store.lock(sha256.as_str())?;
        if store.file(sha256).exists() {
            return Ok(());
        }
        let need = store.need(part.size.unwrap_or(0), "a download");
        let brought = self.ask(&part.digest.to_string(), |asked, digest| {
            let mut growing = Growing::open(store, part)?;
            match asked {
                Asked::Folder(folder) => growing.copy(&folder.join("blobs/sha256").join(sha256.as_str()))?,
                Asked::Registry(registry) => {
                    let (have, size) = (growing.have(), part.size.unwrap_or(0));
                    if part.document {
                        let bytes = registry.document(digest)?;
                        growing.put(0, &bytes)?;
                    } else if have < size {
                        registry.blob(digest, have, size, |at, bytes| growing.put(at, bytes))?;
                    }
                }
            }
            growing.finish(part)
        });
        brought.map_err(|error| need.explain(error))?;
        Ok(store.admit(sha256)?)
    }

    /// The first answer of a place. A place that has something else, or nothing, is asked once.
    fn ask<T>(
        &mut self,
        which: &str,
        mut question: impl FnMut(&mut Asked, &str) -> Result<T, Attempt>,
    ) -> Result<T> {
        let (image, mut last) = (self.image.to_owned(), None::<OciError>);
        let tried =
            self.connections.iter().map(|(place, _)| place.to_string()).collect::<Vec<_>>().join(", ");
        for index in 0..self.connections.len() {
            for attempt in 0..ATTEMPTS {
                pause(attempt);
                let (place, asked) = &mut self.connections[index];
                let image = image.clone();
                let registry = match place {
                    Place::Registry(repository) => repository.registry.clone(),
                    Place::Folder(_) => place.to_string(),
                };
                let failed = match question(asked, which) {
                    Ok(answer) => {
                        // What has one part has the others, too.
                        self.connections.rotate_left(index);
                        return Ok(answer);
                    }
                    Err(failed) => failed,
                };
                let again = matches!(failed, Attempt::Later(_));
                last = match failed {
                    Attempt::NotThere => last,
                    Attempt::Later(message) => {
                        Some(OciError::Network { image, message, tried: tried.clone() })
                    }
                    Attempt::Refused(message) => Some(OciError::Refused { image, registry, message }),
                    Attempt::Certificate(message) => Some(OciError::Certificate { image, registry, message }),
                    Attempt::Wrong(found) => {
                        let (expected, from) = (which.to_owned(), place.to_string());
                        Some(OciError::Mismatch { image, expected, found, from })
                    }
                    Attempt::Host(error) => return Err(error.into()),
                };
                if !again {
                    break;
                }
            }
        }
        let gone = || OciError::Gone { image, part: which.to_owned(), tried };
        Err(Error::from(last.unwrap_or_else(gone)))
    }
}
