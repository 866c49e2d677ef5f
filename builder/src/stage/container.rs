//! Container images as archives that `ctr images import` reads: an OCI image layout (image-spec v1.1) in a tar. Of one
//! program, byte for byte a function of it; or of what a registry had, with its parts as they are.

mod registry;

use std::io::Write;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::json;
use tar::{Builder, EntryType};

use crate::error::{InputError, Result};
use crate::lock::format::{Arch, ContainerImage, Content, Program};
use crate::repro::sha256_hex;
use crate::role::Components;
use crate::store::{StepKey, Store};
use crate::tree::{header, store_name};

/// Raised when what this stage makes of the same program changes.
const VERSION: u32 = 1;

/// Makes the archive of an image and returns its path.
///
/// # Errors
/// When the image names a program that its component does not have, or the store has not all of its parts.
pub fn archive(
    store: &Store,
    image: &ContainerImage,
    components: &Components,
    arch: Arch,
    epoch: i64,
) -> Result<PathBuf> {
    match &image.content {
        Content::Program(made) => of_program(store, image, made, components, arch, epoch),
        Content::Registry(digests) => {
            registry::archive(store, &image.reference, digests.get(&arch), arch, epoch)
        }
    }
}

fn of_program(
    store: &Store,
    image: &ContainerImage,
    made: &Program,
    components: &Components,
    arch: Arch,
    epoch: i64,
) -> Result<PathBuf> {
    let (component, file) = made.program.split_once(':').unwrap_or((&made.program, ""));
    let program =
        components.get(component).and_then(|files| Some(&files.get(file)?.path)).ok_or_else(|| InputError::Missing {
            what: "program of a container image",
            path: PathBuf::from(&made.program),
            hint: "`program` is `component:file`".to_owned(),
        })?;
    let key = StepKey::new("container", VERSION, &(image, store_name(program), arch, epoch));
    let folder = store.step(&key, |folder| {
        let layer = layer(made, &fs::read(program)?, epoch)?;
        let config = json!({
            "architecture": arch,
            "os": "linux",
            "config": {
                "Entrypoint": made.entrypoint,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256_hex(&layer))] },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["platform"] = json!({ "architecture": arch, "os": "linux" });
        let index = index(entry, &image.reference);
        let mut out = Builder::new(fs::File::create(folder.join("image.tar"))?);
        for blob in [&config, &layer, &manifest] {
            put(&mut out, &format!("blobs/sha256/{}", sha256_hex(blob)), 0o644, blob, epoch)?;
        }
        put(&mut out, "index.json", 0o644, &index, epoch)?;
        put(&mut out, "oci-layout", 0o644, LAYOUT, epoch)?;
        out.into_inner()?.flush()?;
        Ok(())
    })?;
    Ok(folder.join("image.tar"))
}

/// The marker of an image layout.
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The index of a layout with one manifest.
fn index(mut entry: serde_json::Value, reference: &str) -> Vec<u8> {
    // containerd takes the image's name from its own annotation.
    entry["annotations"] = json!({ "io.containerd.image.name": reference });
    json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", sha256_hex(bytes)), "size": bytes.len() })
}

/// The image's one layer: the program, names that link to it, and the folders that programs expect.
fn layer(image: &Program, program: &[u8], epoch: i64) -> std::io::Result<Vec<u8>> {
    let mut out = Builder::new(Vec::new());
    let path = image.path.trim_start_matches('/');
    let mut folders = vec!["tmp".to_owned()];
    folders.extend(path.match_indices('/').map(|(index, _)| path[..index].to_owned()));
    folders.sort();
    for folder in folders {
        let mode = if folder == "tmp" { 0o1777 } else { 0o755 };
        out.append_data(
            &mut header(EntryType::Directory, mode, 0, epoch),
            format!("{folder}/"),
            std::io::empty(),
        )?;
    }
    put(&mut out, path, 0o755, program, epoch)?;
    for link in &image.links {
        let name = link.trim_start_matches('/');
        out.append_link(&mut header(EntryType::Symlink, 0o777, 0, epoch), name, format!("/{path}"))?;
    }
    out.into_inner()
}

fn put(
    out: &mut Builder<impl Write>,
    name: &str,
    mode: u32,
    bytes: &[u8],
    epoch: i64,
) -> std::io::Result<()> {
    out.append_data(&mut header(EntryType::Regular, mode, bytes.len() as u64, epoch), name, bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;
    use std::path::Path;

    use super::archive;
    use crate::lock::format::{Arch, ContainerImage, Content, Program};
    use crate::repro::sha256_hex;
    use crate::role::Components;
    use crate::store::Store;

    fn read(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            if let Some(target) = entry.link_name().unwrap() {
                bytes = target.display().to_string().into_bytes();
            }
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        files
    }

    fn make(folder: &Path) -> Vec<u8> {
        let store = Store::open(&folder.join("store")).unwrap();
        fs_err::write(folder.join("program"), "ELF").unwrap();
        let program = Program {
            program: "tools:shell".to_owned(),
            path: "/bin/shell".to_owned(),
            links: vec!["/bin/sh".to_owned()],
            entrypoint: vec!["/bin/sh".to_owned()],
        };
        let reference = "example.local/shell:1".to_owned();
        let image = ContainerImage { reference, content: Content::Program(program) };
        let program = BTreeMap::from([("shell".to_owned(), folder.join("program").into())]);
        let components = Components::from([("tools".to_owned(), program)]);
        fs_err::read(archive(&store, &image, &components, Arch::Amd64, 1000).unwrap()).unwrap()
    }

    /// image-spec v1.1: every descriptor names a blob of that digest and size; diff_ids are of the uncompressed layers.
    #[test]
    fn an_archive_is_an_oci_layout() {
        let folder = tempfile::tempdir().unwrap();
        let files = read(&make(folder.path()));
        assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
        let mut blobs = 0;
        for (name, bytes) in &files {
            if let Some(digest) = name.strip_prefix("blobs/sha256/") {
                assert_eq!(digest, sha256_hex(bytes));
                blobs += 1;
            }
        }
        let blob = |descriptor: &serde_json::Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let bytes = &files[&format!("blobs/sha256/{digest}")];
            assert_eq!(descriptor["size"], bytes.len());
            bytes.clone()
        };
        let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        let entry = json(&files["index.json"])["manifests"][0].clone();
        assert_eq!(entry["annotations"]["io.containerd.image.name"], "example.local/shell:1");
        assert_eq!(entry["platform"]["architecture"], "amd64");
        let manifest = json(&blob(&entry));
        let config = json(&blob(&manifest["config"]));
        assert_eq!(config["config"]["Entrypoint"][0], "/bin/sh");
        let layer = blob(&manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256_hex(&layer)));
        let inside = read(&layer);
        assert_eq!((&inside["bin/shell"], &inside["bin/sh"]), (&b"ELF".to_vec(), &b"/bin/shell".to_vec()));
        assert!(inside.contains_key("tmp/") && blobs == 3);
    }

    #[test]
    fn an_archive_is_a_function_of_its_program() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(make(one.path()), make(other.path()));
    }
}
