//! Which files a build needs, and where each may be had: packages and sources of the Debian archive, what upstream
//! publishes, container images of registries, files of this machine. It looks at none of them.

use std::collections::BTreeSet;

use toml_edit::Key;

use crate::fetch::local::LocalFile;
use crate::fetch::{Item, Origin};
use crate::go::GoBuild;
use crate::ground::arch::Arch;
use crate::lockfile::Lock;
use crate::lockfile::component::with_arch;
use crate::lockfile::format::{Build, Component, Content, Deb, Download};
use crate::mirror::Mirrors;
use crate::oci::Wanted;
use crate::plan::Plan;
use crate::plan::roots::roots;

impl Plan {
    /// Every file that the build reads from outside.
    #[must_use]
    pub fn items(&self, mirrors: &Mirrors) -> Vec<Item> {
        let mut items = Vec::new();
        items.extend(self.builds().flat_map(|(_, build)| source_items(&self.lock, build, mirrors)));
        items.extend(
            self.packages().into_iter().map(|(suite, deb)| package_item(&self.lock, mirrors, suite, deb)),
        );
        for (name, download) in self.downloads() {
            items.extend(download_item(name, download, self.arch, mirrors));
        }
        items
    }

    /// The packages that the build reads, with their suites.
    #[must_use]
    pub fn packages(&self) -> Vec<(&str, &Deb)> {
        let of_images = roots(&self.roles, self.arch);
        let mut roots: BTreeSet<(&str, Arch)> =
            of_images.iter().map(|(root, arch)| (root.as_str(), *arch)).collect();
        roots.extend(self.container_images().filter_map(|(_, image)| Some((image.root()?, self.arch))));
        for (_, build) in self.builds() {
            roots.extend([build.root.as_str(), build.root_for(self.arch)].map(|root| (root, Arch::HOST)));
        }
        let used = self.used_components();
        let taken_apart: BTreeSet<&str> = used
            .values()
            .filter_map(|component| match component {
                Component::Deb { deb, .. } => Some(deb.as_str()),
                _ => None,
            })
            .collect();
        let is_wanted = |deb: &Deb| {
            roots.iter().any(|(root, arch)| deb.arch == *arch && deb.roots.contains(*root))
                || deb.arch == self.arch
                    && deb.roots.contains("components")
                    && taken_apart.contains(deb.name.as_str())
        };
        packages(&self.lock).filter(|(_, deb)| is_wanted(deb)).collect()
    }

    /// What upstream publishes and the build reads, by component.
    pub fn downloads(&self) -> impl Iterator<Item = (&str, &Download)> {
        let used = self.used_components().into_iter();
        used.flat_map(|(name, component)| {
            let downloads = match component {
                Component::Url(downloads) => downloads.as_slice(),
                _ => &[],
            };
            downloads.iter().map(move |download| (name.as_str(), download))
        })
    }

    /// The builds from source that the build of the images needs, each once.
    pub fn builds(&self) -> impl Iterator<Item = (&str, &Build)> {
        let names = self.used_components().into_values().filter_map(|component| match component {
            Component::Build { build } => Some(build),
            _ => None,
        });
        let names: BTreeSet<&String> = names.collect();
        let builds = names.into_iter().filter_map(|name| self.lock.build.get_key_value(name));
        builds.map(|(name, build)| (name.as_str(), build))
    }

    /// The builds of Go modules that the build of the images needs.
    #[must_use]
    pub fn go_builds(&self) -> Vec<GoBuild<'_>> {
        self.builds().filter_map(|(name, build)| Some(GoBuild { name, build, go: build.go()? })).collect()
    }

    /// Every file of this machine that the build reads for its components.
    #[must_use]
    pub fn local_files(&self) -> Vec<LocalFile> {
        let mut found = Vec::new();
        for (component, from) in self.used_components() {
            let Component::Path { path, sha256 } = from else { continue };
            let Some(files) = sha256.get(&self.arch) else { continue };
            let (release, component) = (Key::new(&self.cluster.release), Key::new(component));
            found.extend(files.iter().map(|(name, sha256)| LocalFile {
                key: format!(
                    "release.{release}.component.{component}.sha256.{}.{}",
                    self.arch,
                    Key::new(name)
                ),
                path: self.lock_folder().join(with_arch(path, self.arch)),
                in_folder: files.len() > 1,
                name: name.clone(),
                sha256: sha256.clone(),
            }));
        }
        found
    }

    /// Every container image that the build takes from a registry.
    #[must_use]
    pub fn registry_images(&self, mirrors: &Mirrors) -> Vec<Wanted> {
        let images = self.container_images().filter_map(|(_, image)| {
            let Content::Registry(digest) = &image.content else { return None };
            // The lock was checked: the reference is one.
            Wanted::new(&image.reference, digest.get(&self.arch)?.clone(), self.arch, mirrors).ok()
        });
        images.collect()
    }
}

/// The packages of one root as items to fetch.
#[must_use]
pub fn root_items(lock: &Lock, mirrors: &Mirrors, arch: Arch, root: &str) -> Vec<Item> {
    let of_root = packages(lock).filter(|(_, deb)| deb.arch == arch && deb.roots.contains(root));
    of_root.map(|(suite, deb)| package_item(lock, mirrors, suite, deb)).collect()
}

/// The packages of a lock, with their suites.
fn packages(lock: &Lock) -> impl Iterator<Item = (&str, &Deb)> {
    lock.deb.iter().flat_map(|(suite, debs)| debs.iter().map(move |deb| (suite.as_str(), deb)))
}

fn package_item(lock: &Lock, mirrors: &Mirrors, suite: &str, deb: &Deb) -> Item {
    Item {
        subject: format!("{} {}", deb.name, deb.version),
        urls: urls(lock, mirrors, suite, &deb.file),
        size: Some(deb.size),
        hash: deb.sha256.clone().into(),
        origin: Origin::Debian,
    }
}

/// The packages and sources of one build as items to fetch.
#[must_use]
pub fn build_items(lock: &Lock, build: &Build, mirrors: &Mirrors, arch: Arch) -> Vec<Item> {
    let roots = BTreeSet::from([build.root.as_str(), build.root_for(arch)]);
    let mut items: Vec<Item> =
        roots.into_iter().flat_map(|root| root_items(lock, mirrors, Arch::HOST, root)).collect();
    items.extend(source_items(lock, build, mirrors));
    items
}

/// The source package of a build as items to fetch.
fn source_items<'a>(lock: &'a Lock, build: &Build, mirrors: &'a Mirrors) -> impl Iterator<Item = Item> + 'a {
    let source = build.source().and_then(|source| lock.source.get(source));
    source.into_iter().flat_map(move |source| {
        source.files.iter().map(move |file| {
            let subject = file.file.rsplit('/').next().unwrap_or_default().to_owned();
            let urls = urls(lock, mirrors, &source.suite, &file.file);
            let (size, hash) = (Some(file.size), file.sha256.clone().into());
            Item { subject, urls, size, hash, origin: Origin::Debian }
        })
    })
}

/// What upstream publishes for an architecture, if anything.
fn download_item(component: &str, download: &Download, arch: Arch, mirrors: &Mirrors) -> Option<Item> {
    let (hash, published) = (download.hash(arch)?, download.addresses(arch));
    let file = published.first()?.rsplit('/').next().unwrap_or_default();
    let urls = published.iter().flat_map(|url| mirrors.instead(url)).collect();
    let (subject, size) = (format!("{component}: {file}"), download.size.get(&arch).copied());
    Some(Item { subject, urls, size, hash, origin: Origin::Upstream })
}

fn urls(lock: &Lock, mirrors: &Mirrors, suite: &str, file: &str) -> Vec<String> {
    let suite = lock.suite.get(suite);
    suite.map(|suite| mirrors.urls(&suite.archive, &suite.snapshot, file)).unwrap_or_default()
}
