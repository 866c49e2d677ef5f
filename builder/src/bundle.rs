//! A profile's closure in one file: this program, the project, every download of the build and of `up`, and the source
//! builds that were made. Unpacked anywhere, it builds without a network.
//!
//! The archive is deterministic: sorted, owned by root, with the lock's epoch as the only time. It holds nothing of
//! `secrets/` and `out/`: only what is named here goes in. Of the store's steps only source builds go along: the lock
//! pins their bytes, and they are what is slow to make again.

mod error;
mod home;
mod links;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use walkdir::WalkDir;

use crate::archive::inner_path;
use crate::fetch::Item;
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::tree::{Content, Tree, Why, merge};
use crate::lockfile::format::Component;
use crate::mirror::Mirrors;
use crate::plan::{self, Plan};
use crate::role::ROLES;
use crate::stage::source;
use crate::store::{Store, record, verify};
use crate::{go, oci};
pub use error::BundleError;
pub use home::{Home, MARK, MadeFor};
use links::FOLDERS;

/// zstd's own default; most of a bundle is compressed already.
const LEVEL: i32 = 3;

/// Every download that a bundle of a plan holds: those of its build, and the QEMU that boots the images.
#[must_use]
pub fn items(plan: &Plan, mirrors: &Mirrors) -> Vec<Item> {
    let mut items = plan.items(mirrors);
    // QEMU runs on the machine that boots them, whatever they are for.
    items.extend(plan::inputs::root_items(
        &plan.lock,
        mirrors,
        Arch::HOST,
        crate::deb::roots::qemu(plan.arch),
    ));
    items
}

/// What a bundle holds.
#[derive(Debug)]
pub struct Bundle {
    tree: Tree,
    /// Its one folder.
    top: String,
    epoch: i64,
    /// Source builds that it does not hold, because they were not made yet.
    pub not_made: Vec<String>,
}

impl Bundle {
    /// Gathers what goes into the bundle of a plan whose files are in the store; `program` is this program's file.
    ///
    /// # Errors
    /// [`BundleError`], or when something cannot be read.
    pub fn gather(plan: &Plan, lockfile: &Path, program: &Path, store: &Store) -> Result<Self> {
        let top = format!("kiln-{}", plan.profile.name);
        let (tree, epoch) = (Tree::default(), plan.lock.epoch);
        let mut bundle = Self { tree, top, epoch, not_made: Vec::new() };
        bundle.bytes(MARK, home::mark(plan).into_bytes());
        bundle.file("builder", 0o755, program.to_owned());
        bundle.file("lockfile.toml", 0o644, lockfile.to_owned());
        for (folder, depth) in FOLDERS {
            let path = plan.project.join(folder);
            // A project whose lock compiles nothing needs no recipes, and a profile may lie elsewhere.
            if path.is_dir() {
                links::check(folder, &path, depth, &plan.profile.path)?;
                bundle.folder(folder, &path)?;
            }
        }
        if let Some(site) = plan.recipes.site() {
            links::check(ROLES, site, 2, &plan.profile.path)?;
            bundle.folder(ROLES, site)?;
        }
        // In the place of a link, too.
        bundle.file(&format!("profiles/{}.toml", plan.profile.name), 0o644, plan.profile.path.clone());
        bundle.components(plan, store)?;
        // Addresses do not matter: everything is in the store.
        let none = Mirrors::default();
        let mut files: Vec<String> =
            items(plan, &none).iter().map(|item| item.hash.as_str().to_owned()).collect();
        for image in plan.registry_images(&none) {
            files.extend(oci::stored(store, &image)?.parts().map(|part| part.digest.sha256().to_string()));
        }
        for name in files {
            verify::sound(verify::file(store, &name), &format!("files/{name}"))?;
            bundle.file(&format!("store/files/{name}"), 0o644, store.file(&name));
        }
        Ok(bundle)
    }

    /// Writes it to a file, which appears when it is whole.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn write(&self, out: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".kiln-bundle-").tempfile_in(folder)?;
        let mut packed = zstd::Encoder::new(io::BufWriter::new(file), LEVEL)?;
        packed.include_checksum(true)?;
        merge(io::empty(), &self.tree, &[], self.epoch, &mut packed)?;
        let mut buffer = packed.finish()?;
        buffer.flush()?;
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        // It holds no secret.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(out).map_err(|error| error.error)?;
        Ok(())
    }

    /// Components that are built here and those whose files lie here.
    fn components(&mut self, plan: &Plan, store: &Store) -> Result<()> {
        let (lock, arch) = (&plan.lock, plan.arch);
        for (name, component) in plan.used_components() {
            match component {
                Component::Build { build: build_name } => {
                    let Some(build) = lock.build.get(build_name) else { continue };
                    let key = source::key(&plan.project, lock, (build_name, build), arch)?;
                    match store.made(&key) {
                        Some(made) => {
                            let folder = key.folder();
                            self.step(store, &folder, &made)?;
                            source::verify(build_name, build, arch, &made)?;
                        }
                        None => self.not_made.push(build_name.clone()),
                    }
                }
                Component::Path { path, .. } if Path::new(path).is_absolute() => {
                    return Err(outside(name, path));
                }
                Component::Path { path, .. } => {
                    inner_path(Path::new(path)).map_err(|_| outside(name, path))?;
                }
                _ => {}
            }
        }
        for module in go::of_builds(lock, &plan.go_builds()) {
            let key = go::key(module);
            let lost = || go::GoError::Offline { module: module.to_string(), missing: 1 };
            let kept = store.made(&key).ok_or_else(lost)?;
            self.step(store, &key.folder(), &kept)?;
        }
        for local in plan.local_files() {
            let path = local.found();
            let inner = path.strip_prefix(plan.lock_folder()).unwrap_or(&path);
            let name = text(&inner_path(inner)?)?;
            self.file(&name, 0o644, path);
        }
        Ok(())
    }

    /// A step's result, with the record of it that a store keeps; one of before there were records gets one.
    fn step(&mut self, store: &Store, name: &str, made: &Path) -> Result<()> {
        verify::sound(verify::step(store, name), &format!("steps/{name}"))?;
        self.bytes(&format!("store/records/{name}"), record::tree_sha256(made)?.into_bytes());
        self.folder(&format!("store/steps/{name}"), made)
    }

    /// Every file and link below a folder; no empty folders, which mean nothing to a build.
    fn folder(&mut self, name: &str, folder: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        for entry in WalkDir::new(folder).min_depth(1) {
            let entry = entry.map_err(io::Error::from)?;
            let path = entry.path();
            let inner = format!("{name}/{}", text(path.strip_prefix(folder).unwrap_or(path))?);
            if entry.file_type().is_symlink() {
                let target = text(&fs::read_link(path)?)?;
                self.tree.link(&format!("{}/{inner}", self.top), &target, &Why::Kiln);
            } else if entry.file_type().is_file() {
                let program = fs::metadata(path)?.permissions().mode() & 0o100 != 0;
                self.file(&inner, if program { 0o755 } else { 0o644 }, path.to_owned());
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &str, mode: u32, path: PathBuf) {
        self.tree.file(&format!("{}/{name}", self.top), mode, Content::Path(path), &Why::Kiln);
    }

    fn bytes(&mut self, name: &str, bytes: Vec<u8>) {
        self.tree.file(&format!("{}/{name}", self.top), 0o644, Content::Bytes(bytes), &Why::Kiln);
    }
}

fn outside(component: &str, path: &str) -> crate::ground::error::Error {
    BundleError::Outside { component: component.to_owned(), path: path.to_owned() }.into()
}

fn text(path: &Path) -> Result<String, BundleError> {
    path.to_str().map(str::to_owned).ok_or_else(|| BundleError::Name { path: path.to_owned() })
}
