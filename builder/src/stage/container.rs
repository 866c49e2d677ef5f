//! Container images as archives that `ctr images import` reads: an OCI image layout (image-spec v1.1) in a tar. Of
//! packages, of a program or of both, byte for byte a function of them; or of what a registry had, with its parts as they
//! are.

mod layer;
mod layout;
mod registry;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::json;
use tar::Builder;

use crate::deb::roots::Root;
use crate::ground::arch::Arch;
use crate::ground::error::{InputError, Result};
use crate::ground::repro::sha256_hex;
use crate::ground::tree::store_name;
use crate::lockfile::format::{ContainerImage, Content, Made, Program};
use crate::role::Components;
use crate::store::{StepKey, Store};
use layout::{LAYOUT, index, put};

/// Raised when what this stage makes of the same program changes.
const VERSION: u32 = 2;

/// Raised when what it makes of the same packages does.
const ROOT_VERSION: u32 = 1;

/// Makes the archive of an image and returns its path. `root` is the one that the image names, unpacked.
///
/// # Errors
/// When the image names a program that its component does not have or that would not start in it, or the store has not
/// all of its parts.
pub fn archive(
    store: &Store,
    image: &ContainerImage,
    root: Option<&Root>,
    components: &Components,
    arch: Arch,
    epoch: i64,
) -> Result<PathBuf> {
    match &image.content {
        Content::Made(made) => of_parts(store, image, (made, root), components, arch, epoch),
        Content::Registry(digests) => {
            registry::archive(store, &image.reference, digests.get(&arch), arch, epoch)
        }
    }
}

fn of_parts(
    store: &Store,
    image: &ContainerImage,
    (made, root): (&Made, Option<&Root>),
    components: &Components,
    arch: Arch,
    epoch: i64,
) -> Result<PathBuf> {
    let program =
        made.program.as_ref().map(|it| Ok::<_, InputError>((it, files(it, components)?))).transpose()?;
    let names: Vec<_> = program.iter().flat_map(|(_, files)| files.iter().map(|it| store_name(it))).collect();
    let root_key = root.map(|root| (ROOT_VERSION, &root.key));
    let key = StepKey::new("container", VERSION, &(image, names, root_key, arch, epoch));
    let folder = store.step(&key, |folder| {
        let mut layers = Vec::new();
        if let Some(root) = root {
            layers.push(layer::of_root(&root.path, epoch)?);
        }
        if let Some((program, files)) = &program {
            let root = root.map(|root| root.path.as_path());
            let mut contents = BTreeMap::new();
            for ((path, name), file) in program.all().zip(files) {
                let bytes = fs::read(file)?;
                layer::check_loader(image, name, &bytes, root)?;
                contents.insert(path, bytes);
            }
            layers.push(layer::of_program(program, &contents, root, epoch)?);
        }
        write(&folder.join("image.tar"), image, (made, &layers), arch, epoch)
    })?;
    Ok(folder.join("image.tar"))
}

/// Where the files of [`Program::all`] lie, in its order.
fn files<'a>(program: &Program, components: &'a Components) -> Result<Vec<&'a Path>, InputError> {
    let find = |wanted: &str| {
        let (component, file) = wanted.split_once(':').unwrap_or((wanted, ""));
        let found = components.get(component).and_then(|files| files.get(file));
        found.map(|file| file.path.as_path()).ok_or_else(|| InputError::Missing {
            what: "file of a container image",
            path: PathBuf::from(wanted),
            hint: "`program` and `files` are `component:file`".to_owned(),
        })
    };
    program.all().map(|(_, file)| find(file)).collect()
}

/// Writes the layout with its layers, the lowest first.
fn write(
    path: &Path,
    image: &ContainerImage,
    (made, layers): (&Made, &[Vec<u8>]),
    arch: Arch,
    epoch: i64,
) -> Result<()> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256_hex(layer))).collect();
    let config = json!({
        "architecture": arch,
        "os": "linux",
        "config": {
            "Entrypoint": made.entrypoint,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    let of_layer = |layer: &Vec<u8>| descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(of_layer).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["platform"] = json!({ "architecture": arch, "os": "linux" });
    let index = index(entry, &image.reference);
    let mut out = Builder::new(fs::File::create(path)?);
    for blob in [&config].into_iter().chain(layers).chain([&manifest]) {
        put(&mut out, &format!("blobs/sha256/{}", sha256_hex(blob)), 0o644, blob, epoch)?;
    }
    put(&mut out, "index.json", 0o644, &index, epoch)?;
    put(&mut out, "oci-layout", 0o644, LAYOUT, epoch)?;
    Ok(out.into_inner()?.flush()?)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", sha256_hex(bytes)), "size": bytes.len() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;
    use std::path::Path;

    use super::archive;
    use crate::ground::arch::Arch;
    use crate::ground::repro::sha256_hex;
    use crate::lockfile::format::{ContainerImage, Content, Made, Program};
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
        fs_err::write(folder.join("rc"), "PS1").unwrap();
        let program = Program {
            program: "tools:shell".to_owned(),
            path: "/bin/shell".to_owned(),
            links: vec!["/bin/sh".to_owned()],
            files: BTreeMap::from([("/etc/shell/rc".to_owned(), "tools:rc".to_owned())]),
        };
        let made = Made { root: None, program: Some(program), entrypoint: vec!["/bin/sh".to_owned()] };
        let reference = "example.local/shell:1".to_owned();
        let image = ContainerImage { reference, content: Content::Made(made) };
        let files = [("shell", "program"), ("rc", "rc")];
        let files = files.map(|(name, file)| (name.to_owned(), folder.join(file).into()));
        let components = Components::from([("tools".to_owned(), BTreeMap::from(files))]);
        fs_err::read(archive(&store, &image, None, &components, Arch::Amd64, 1000).unwrap()).unwrap()
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
        assert!(inside.contains_key("tmp/") && inside.contains_key("etc/shell/") && blobs == 3);
        assert_eq!(inside["etc/shell/rc"], b"PS1");
    }

    #[test]
    fn an_archive_is_a_function_of_its_program() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(make(one.path()), make(other.path()));
    }
}
