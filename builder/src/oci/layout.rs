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
    /// The indexes on the way to the manifest.
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
    mut read: impl FnMut(&Part) -> Result<Vec<u8>>,
) -> Result<Contents> {
    let mut indexes = Vec::new();
    let mut part = Part { digest: digest.clone(), size: None, media_type: String::new(), document: true };
    for _ in 0..=DEPTH {
        let bytes = read(&part)?;
        let kind: Kind = parse(image, &part, &bytes)?;
        let fallback =
            if kind.manifests.is_some() { OCI_IMAGE_INDEX_MEDIA_TYPE } else { OCI_IMAGE_MEDIA_TYPE };
        part.media_type = kind.media_type.unwrap_or_else(|| fallback.to_owned());
        match part.media_type.as_str() {
            OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE => {
                let index: OciImageIndex = parse(image, &part, &bytes)?;
                let next = choose(image, &part, index.manifests, arch)?;
                indexes.push(std::mem::replace(&mut part, next));
            }
            OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE => {
                let manifest: OciImageManifest = parse(image, &part, &bytes)?;
                let blobs = blobs(image, &manifest)?;
                if let Some(config) = blobs.first() {
                    suits(image, config, arch, &read(config)?)?;
                }
                return Ok(Contents { indexes, manifest: part, blobs });
            }
            _ => return Err(kind_of(image, &part.digest.to_string(), &part.media_type).into()),
        }
    }
    Err(broken(image, &part, "its indexes lead on and on").into())
}

/// The entry of an index for an architecture.
fn choose(image: &str, part: &Part, entries: Vec<ImageIndexEntry>, arch: Arch) -> Result<Part, OciError> {
    let mut known = Vec::new();
    for entry in entries {
        let Some(platform) = &entry.platform else { continue };
        let name = format!("{}/{}", platform.os, platform.architecture);
        // Every arm64 is `v8` unless it says otherwise, every amd64 `v1`.
        if name == format!("linux/{arch}") && matches!(platform.variant.as_deref(), None | Some("v8" | "v1"))
        {
            return described(image, &entry.digest, entry.size, &entry.media_type, true);
        }
        // Attestations stand beside images, for no platform.
        if name != "unknown/unknown" {
            known.push(name);
        }
    }
    if known.is_empty() {
        return Err(broken(image, part, "the index names no platform"));
    }
    Err(OciError::Architecture { image: image.to_owned(), arch, known: known.join(", ") })
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

/// A manifest need not say what it is for; its configuration does.
fn suits(image: &str, part: &Part, arch: Arch, config: &[u8]) -> Result<(), OciError> {
    let Platform { architecture, os } = parse(image, part, config)?;
    let known = format!("{os}/{architecture}");
    match known == format!("linux/{arch}") {
        true => Ok(()),
        false => Err(OciError::Architecture { image: image.to_owned(), arch, known }),
    }
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
