//! The documents of an image (OCI image-spec v1.1, and Docker's of the same shape): from the digest of an index or a
//! manifest to what the image for one architecture consists of. It has documents read to it and fetches nothing.

use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE, ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    OciDescriptor, OciImageIndex, OciImageManifest,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::hash::Digest;
use crate::oci::error::OciError;

/// The media types of documents, as a registry is asked for them.
pub(super) const DOCUMENTS: [&str; 4] = [
    OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
    IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    IMAGE_MANIFEST_MEDIA_TYPE,
];

/// How layers' media types begin; `+gzip` and the like follow.
const LAYERS: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"];

/// Indexes within indexes.
const DEPTH: usize = 3;

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Content.
    pub digest: Digest,
    /// Bytes; unknown for what the lock names itself.
    pub size: Option<u64>,
    /// What it is; unknown for what the lock names itself.
    pub media_type: String,
    /// Whether it is asked for as a document rather than as a blob.
    pub document: bool,
}

/// What the image for one architecture consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The indexes on the way to the manifest, and what was read on it besides.
    pub indexes: Vec<Part>,
    /// The manifest.
    pub manifest: Part,
    /// The configuration, then the layers.
    pub blobs: Vec<Part>,
}

impl Contents {
    /// Everything that must be in the store.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.indexes.iter().chain([&self.manifest]).chain(&self.blobs)
    }
}

/// Only what tells the kinds of documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// What a configuration says of its machine.
#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

/// The image for an architecture that a digest leads to. `read` gives the content of a document or configuration.
///
/// # Errors
/// [`OciError`] when it leads to no image for the architecture, or what `read` fails with.
pub fn contents(
    image: &str,
    digest: &Digest,
    arch: Arch,
    read: impl FnMut(&Part) -> Result<Vec<u8>>,
) -> Result<Contents> {
    let part = Part { digest: digest.clone(), size: None, media_type: String::new(), document: true };
    let mut search = Search { image, arch, read, indexes: Vec::new() };
    match search.descend(part, 0)? {
        Found::Image { manifest, blobs } => Ok(Contents { indexes: search.indexes, manifest, blobs }),
        Found::Other(known) => {
            Err(OciError::Architecture { image: image.to_owned(), arch, known: known.join(", ") }.into())
        }
    }
}

/// What a document leads to.
enum Found {
    /// The image for the architecture.
    Image { manifest: Part, blobs: Vec<Part> },
    /// Images for these platforms alone.
    Other(Vec<String>),
}

/// The way from a digest to an image.
struct Search<'a, R> {
    image: &'a str,
    arch: Arch,
    read: R,
    /// The indexes on the way, and what was read and led elsewhere: the same way needs all of it again.
    indexes: Vec<Part>,
}

impl<R: FnMut(&Part) -> Result<Vec<u8>>> Search<'_, R> {
    fn descend(&mut self, mut part: Part, depth: usize) -> Result<Found> {
        let image = self.image;
        let bytes = (self.read)(&part)?;
        let kind: Kind = parse(image, &part, &bytes)?;
        let fallback =
            if kind.manifests.is_some() { OCI_IMAGE_INDEX_MEDIA_TYPE } else { OCI_IMAGE_MEDIA_TYPE };
        part.media_type = kind.media_type.unwrap_or_else(|| fallback.to_owned());
        match part.media_type.as_str() {
            OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE if depth == DEPTH => {
                Err(broken(image, &part, "its indexes lead on and on").into())
            }
            OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE => {
                let index: OciImageIndex = parse(image, &part, &bytes)?;
                let (entries, mut known) = choose(image, index.manifests, self.arch)?;
                if entries.is_empty() && known.is_empty() {
                    return Err(broken(image, &part, "the index names no image").into());
                }
                self.indexes.push(part);
                for entry in entries {
                    match self.descend(entry, depth + 1)? {
                        Found::Other(more) => known.extend(more),
                        found @ Found::Image { .. } => return Ok(found),
                    }
                }
                Ok(Found::Other(known))
            }
            OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE => {
                let manifest: OciImageManifest = parse(image, &part, &bytes)?;
                let blobs = blobs(image, &manifest)?;
                let Some(config) = blobs.first() else {
                    return Ok(Found::Image { manifest: part, blobs });
                };
                // A manifest need not say what it is for; its configuration does.
                let Platform { architecture, os } = parse(image, config, &(self.read)(config)?)?;
                let known = format!("{os}/{architecture}");
                if known == format!("linux/{}", self.arch) {
                    return Ok(Found::Image { manifest: part, blobs });
                }
                self.indexes.extend([part, config.clone()]);
                Ok(Found::Other(vec![known]))
            }
            _ => Err(kind_of(image, &part.digest.to_string(), &part.media_type).into()),
        }
    }
}

/// The entries of an index that may be for an architecture: the one that says so, else all that say nothing. And the
/// platforms of the others.
fn choose(
    image: &str,
    entries: Vec<ImageIndexEntry>,
    arch: Arch,
) -> Result<(Vec<Part>, Vec<String>), OciError> {
    let (mut silent, mut known) = (Vec::new(), Vec::new());
    for entry in entries {
        let part = || described(image, &entry.digest, entry.size, &entry.media_type, true);
        let Some(platform) = &entry.platform else {
            silent.push(part()?);
            continue;
        };
        let name = format!("{}/{}", platform.os, platform.architecture);
        // Every arm64 is `v8` unless it says otherwise, every amd64 `v1`.
        if name == format!("linux/{arch}") && matches!(platform.variant.as_deref(), None | Some("v8" | "v1"))
        {
            return Ok((vec![part()?], Vec::new()));
        }
        // Attestations stand beside images, for no platform.
        if name != "unknown/unknown" {
            known.push(name);
        }
    }
    Ok((silent, known))
}

/// The configuration and the layers.
fn blobs(image: &str, manifest: &OciImageManifest) -> Result<Vec<Part>, OciError> {
    let of = |descriptor: &OciDescriptor, good: bool| match good {
        true => described(image, &descriptor.digest, descriptor.size, &descriptor.media_type, false),
        false => Err(kind_of(image, &descriptor.digest, &descriptor.media_type)),
    };
    let is_config = [IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE];
    let config = of(&manifest.config, is_config.contains(&manifest.config.media_type.as_str()))?;
    let layers = manifest
        .layers
        .iter()
        .map(|layer| of(layer, LAYERS.iter().any(|start| layer.media_type.starts_with(start))));
    std::iter::once(Ok(config)).chain(layers).collect()
}

fn parse<T: DeserializeOwned>(image: &str, part: &Part, bytes: &[u8]) -> Result<T, OciError> {
    serde_json::from_slice(bytes).map_err(|error| broken(image, part, &error.to_string()))
}

fn described(
    image: &str,
    digest: &str,
    size: i64,
    media_type: &str,
    document: bool,
) -> Result<Part, OciError> {
    let wrong =
        |message: String| OciError::Broken { image: image.to_owned(), part: digest.to_owned(), message };
    let size = u64::try_from(size).map_err(|_| wrong(format!("its size is {size}")))?;
    let digest = digest.parse().map_err(wrong)?;
    Ok(Part { digest, size: Some(size), media_type: media_type.to_owned(), document })
}

fn broken(image: &str, part: &Part, message: &str) -> OciError {
    let (image, part) = (image.to_owned(), part.digest.to_string());
    OciError::Broken { image, part, message: message.to_owned() }
}

fn kind_of(image: &str, part: &str, found: &str) -> OciError {
    OciError::Kind { image: image.to_owned(), part: part.to_owned(), found: found.to_owned() }
}

#[cfg(test)]
mod tests;
