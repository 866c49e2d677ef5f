//! Container images of one program, as archives that `ctr images import` reads: an OCI image layout (image-spec v1.1)
//! in a tar. Byte for byte a function of the program.

use std::io::Write;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::json;
use tar::{Builder, EntryType};

use crate::error::{InputError, Result};
use crate::lock::format::{Arch, ContainerImage};
use crate::repro::sha256_hex;
use crate::role::Components;
use crate::store::{StepKey, Store};
use crate::tree::header;

/// Raised when what this stage makes of the same program changes.
const VERSION: u32 = 1;

/// Makes the archive of an image and returns its path.
///
/// # Errors
/// When the image names a program that its component does not have.
pub fn archive(
    store: &Store,
    image: &ContainerImage,
    components: &Components,
    arch: Arch,
    epoch: i64,
) -> Result<PathBuf> {
    let (component, file) = image.program.split_once(':').unwrap_or((&image.program, ""));
    let program =
        components.get(component).and_then(|files| files.get(file)).ok_or_else(|| InputError::Missing {
            what: "program of a container image",
            path: PathBuf::from(&image.program),
            hint: "`program` is `component:file`".to_owned(),
        })?;
    let program = fs::read(program)?;
    let key = StepKey::new("container", VERSION, &(image, sha256_hex(&program), arch, epoch));
    let folder = store.step(&key, |folder| {
        let layer = layer(image, &program, epoch)?;
        let config = json!({
            "architecture": arch,
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint,
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
        // containerd takes the image's name from its own annotation.
        entry["annotations"] = json!({ "io.containerd.image.name": image.reference });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes();
        let mut out = Builder::new(fs::File::create(folder.join("image.tar"))?);
        for blob in [&config, &layer, &manifest] {
            put(&mut out, &format!("blobs/sha256/{}", sha256_hex(blob)), 0o644, blob, epoch)?;
        }
        put(&mut out, "index.json", 0o644, &index, epoch)?;
        put(&mut out, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#, epoch)?;
        out.into_inner()?.flush()?;
        Ok(())
    })?;
    Ok(folder.join("image.tar"))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", sha256_hex(bytes)), "size": bytes.len() })
}

/// The image's one layer: the program, names that link to it, and the folders that programs expect.
fn layer(image: &ContainerImage, program: &[u8], epoch: i64) -> std::io::Result<Vec<u8>> {
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
