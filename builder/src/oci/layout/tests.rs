use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::ground::arch::Arch;
use crate::ground::error::Error;
use crate::ground::hash::Digest;
use crate::ground::repro::sha256_hex;
use crate::oci::layout::{Contents, contents};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Documents by digest.
#[derive(Default)]
struct Documents(BTreeMap<String, Vec<u8>>);

impl Documents {
    fn put(&mut self, media_type: &str, document: &Value) -> Value {
        self.put_bytes(media_type, document.to_string().into_bytes())
    }

    fn put_bytes(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = format!("sha256:{}", sha256_hex(&bytes));
        let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
        self.0.insert(digest, bytes);
        descriptor
    }

    /// A manifest of a configuration and one layer.
    fn image(&mut self, arch: &str, config_type: &str, layer_type: &str) -> Value {
        let config = self.put(config_type, &json!({ "architecture": arch, "os": "linux" }));
        let layer = self.put(layer_type, &json!(arch));
        self.put(MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": [layer] }))
    }

    fn contents(&self, top: &Value) -> Result<Contents, Error> {
        let digest: Digest = top["digest"].as_str().unwrap().parse().unwrap();
        contents("r.example/x:1", &digest, Arch::Arm64, |part| Ok(self.0[&part.digest.to_string()].clone()))
    }

    fn refused(&self, top: &Value) -> String {
        let error = self.contents(top).unwrap_err().to_string();
        let (fact, hint) = error.split_once("\n\nhint: ").unwrap();
        assert!(!hint.is_empty());
        fact.to_owned()
    }
}

fn on(mut entry: Value, arch: &str, variant: Option<&str>) -> Value {
    entry["platform"] = json!({ "architecture": arch, "os": "linux" });
    if let Some(variant) = variant {
        entry["platform"]["variant"] = json!(variant);
    }
    entry
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[test]
fn an_index_leads_to_the_image_of_the_architecture() {
    let mut documents = Documents::default();
    let other = on(documents.image("amd64", CONFIG, LAYER), "amd64", None);
    let old = on(documents.image("arm64", CONFIG, LAYER), "arm64", Some("v9"));
    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let image = documents.image("arm64", "application/vnd.docker.container.image.v1+json", docker);
    let entry = on(image.clone(), "arm64", Some("v8"));
    let attestation = on(documents.put(MANIFEST, &json!({})), "unknown", None);
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [attestation, other, old, entry] });
    let inner = on(documents.put(INDEX, &index), "arm64", None);
    // An outer one, that does not say what it is.
    let outer = documents.put(INDEX, &json!({ "schemaVersion": 2, "manifests": [inner] }));
    let found = documents.contents(&outer).unwrap();
    assert_eq!(found.indexes.len(), 2);
    assert_eq!(found.manifest.digest.to_string(), image["digest"].as_str().unwrap());
    assert_eq!((found.blobs.len(), found.blobs[1].media_type.as_str()), (2, docker));
    assert_eq!(found.parts().count(), 5);
    // The manifest alone is enough.
    assert_eq!(documents.contents(&image).unwrap().blobs, found.blobs);
}

/// As `buildah manifest` and copies by digest leave them: the entries say nothing, their configurations do.
#[test]
fn an_index_without_platforms_leads_to_the_image_whose_configuration_says_so() {
    let mut documents = Documents::default();
    let other = documents.image("amd64", CONFIG, LAYER);
    let image = documents.image("arm64", CONFIG, LAYER);
    let index = json!({ "schemaVersion": 2, "manifests": [other.clone(), image.clone()] });
    let index = documents.put(INDEX, &index);
    let found = documents.contents(&index).unwrap();
    assert_eq!(found.manifest.digest.to_string(), image["digest"].as_str().unwrap());
    // What was read of the other one is needed again by whoever has no network: its manifest and its configuration.
    assert_eq!(
        (found.indexes.len(), found.indexes[1].digest.to_string().as_str()),
        (3, other["digest"].as_str().unwrap())
    );
    // One that says it is for the architecture comes first, wherever it stands.
    let silent = documents.put(MANIFEST, &json!({}));
    let index = json!({ "schemaVersion": 2, "manifests": [silent, on(image, "arm64", None)] });
    let index = documents.put(INDEX, &index);
    assert_eq!(documents.contents(&index).unwrap().indexes.len(), 1);
    let index = documents.put(INDEX, &json!({ "schemaVersion": 2, "manifests": [other] }));
    assert!(documents.refused(&index).ends_with("has nothing for linux/arm64; it has: linux/amd64"));
}

#[test]
fn what_leads_to_no_image_is_named() {
    let mut documents = Documents::default();
    let amd64 = documents.image("amd64", CONFIG, LAYER);
    assert!(documents.refused(&amd64).ends_with("has nothing for linux/arm64; it has: linux/amd64"));
    let index = json!({ "schemaVersion": 2, "manifests": [on(amd64, "amd64", None)] });
    let index = documents.put(INDEX, &index);
    assert!(documents.refused(&index).ends_with("has nothing for linux/arm64; it has: linux/amd64"));

    let chart = documents.image("arm64", "application/vnd.cncf.helm.config.v1+json", LAYER);
    assert!(documents.refused(&chart).ends_with("media type `application/vnd.cncf.helm.config.v1+json`"));
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let foreign = documents.image("arm64", CONFIG, foreign);
    assert!(documents.refused(&foreign).contains("rootfs.foreign"));
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let old = documents.put(old, &json!({ "schemaVersion": 1, "mediaType": old }));
    assert!(documents.refused(&old).contains("manifest.v1+prettyjws"));

    for (bytes, fact) in [
        (&b"<html>"[..], "expected value"),
        (b"[]", "r.example/x:1 is no container image: sha256:"),
        (b"{}", "missing field `schemaVersion`"),
        (b"{\"schemaVersion\":2,\"manifests\":[]}", "the index names no image"),
    ] {
        let top = documents.put_bytes(MANIFEST, bytes.to_vec());
        let found = documents.refused(&top);
        assert!(found.contains(fact), "{found}");
    }
    // A digest that would be a path, and a size below nothing.
    for (key, value, fact) in
        [("digest", json!("sha256:../../x"), "is not a digest"), ("size", json!(-1), "its size is -1")]
    {
        let mut layer = documents.put(LAYER, &json!("x"));
        layer[key] = value;
        let config = documents.put(CONFIG, &json!({ "architecture": "arm64", "os": "linux" }));
        let top =
            documents.put(MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": [layer] }));
        let found = documents.refused(&top);
        assert!(found.contains(fact), "{found}");
    }
    // An index that holds indexes on and on.
    let mut top = documents.image("arm64", CONFIG, LAYER);
    for _ in 0..5 {
        let index = json!({ "schemaVersion": 2, "manifests": [on(top, "arm64", None)] });
        top = documents.put(INDEX, &index);
    }
    assert!(documents.refused(&top).contains("lead on and on"));
}
