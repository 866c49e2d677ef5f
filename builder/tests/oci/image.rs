//! Small container images, with what they consist of.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::io::Write as _;

use builder::ground::repro::sha256_hex;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image for some architectures: an index, with a manifest, a configuration and two layers for each.
pub struct Image {
    /// The index.
    pub index: Vec<u8>,
    /// Every manifest, by architecture.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// Every configuration and layer, by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

/// A tar of files, as a registry has it.
pub struct Layer {
    media_type: &'static str,
    bytes: Vec<u8>,
    /// The digest of the tar that it is, when it is not compressed any more.
    diff_id: String,
}

impl Layer {
    pub fn plain(tar: Vec<u8>) -> Self {
        Self { media_type: "application/vnd.oci.image.layer.v1.tar", diff_id: digest(&tar), bytes: tar }
    }

    pub fn compressed(tar: &[u8]) -> Self {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        out.write_all(tar).unwrap();
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        Self { media_type, diff_id: digest(tar), bytes: out.finish().unwrap() }
    }
}

impl Image {
    pub fn new(name: &str, architectures: &[&str]) -> Self {
        Self::of_kind(name, architectures, CONFIG)
    }

    /// With a configuration of another media type.
    pub fn of_kind(name: &str, architectures: &[&str], config_type: &str) -> Self {
        let layers = |arch: &str| {
            ["one", "two"]
                .map(|layer| Layer::plain(format!("{layer} of {name} for {arch}").repeat(100).into_bytes()))
        };
        Self::of_layers(architectures, layers, config_type)
    }

    /// Of layers that somebody else made.
    pub fn of_layers(architectures: &[&str], layers: impl Fn(&str) -> [Layer; 2], config_type: &str) -> Self {
        let (mut manifests, mut blobs) = (BTreeMap::new(), BTreeMap::new());
        let mut entries = Vec::new();
        for arch in architectures {
            let layers = layers(arch);
            let config = json!({
                "architecture": arch,
                "os": "linux",
                "rootfs": { "type": "layers", "diff_ids": layers.each_ref().map(|layer| &layer.diff_id) },
            });
            let config = config.to_string().into_bytes();
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(config_type, &config),
                "layers": layers.each_ref().map(|layer| descriptor(layer.media_type, &layer.bytes)),
            });
            let manifest = manifest.to_string().into_bytes();
            let mut entry = descriptor(MANIFEST, &manifest);
            entry["platform"] = json!({ "architecture": arch, "os": "linux" });
            entries.push(entry);
            blobs.extend(
                layers.map(|layer| layer.bytes).into_iter().chain([config]).map(|blob| (digest(&blob), blob)),
            );
            manifests.insert((*arch).to_owned(), manifest);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        Self { index: index.to_string().into_bytes(), manifests, blobs }
    }

    /// The digest of its index.
    pub fn digest(&self) -> String {
        digest(&self.index)
    }

    /// The digests of what the image for one architecture consists of, without the index; sorted.
    pub fn parts(&self, arch: &str) -> Vec<String> {
        let manifest = &self.manifests[arch];
        let parsed: Value = serde_json::from_slice(manifest).unwrap();
        let layers = parsed["layers"].as_array().unwrap().iter();
        let named = layers.chain([&parsed["config"]]).map(|part| part["digest"].as_str().unwrap().to_owned());
        let mut parts: Vec<String> = named.chain([digest(manifest)]).collect();
        parts.sort();
        parts
    }

    /// Everything by digest: indexes, manifests and blobs.
    pub fn all(&self) -> impl Iterator<Item = (String, &[u8])> {
        let blobs = self.blobs.values().chain(self.manifests.values()).chain([&self.index]);
        blobs.map(|bytes| (digest(bytes), bytes.as_slice()))
    }
}
