//! What a build is made of, each with its digest: what people wrote, and what they fetched. Nothing in it depends on the
//! machine that builds; where something was fetched from is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;
use packageurl::PackageUrl;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::ground::error::Result;
use crate::ground::repro::sha256_hex;
use crate::lockfile;
use crate::lockfile::build::RECIPES;
use crate::lockfile::format::{Content, Deb, Hash, Module, ModuleSum};
use crate::plan::Plan;
use crate::role::ROLES;

/// Something that a build is made of: a
/// [resource descriptor](https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md) of in-toto.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// What it is, for people: a path in the project, a package with its version.
    pub name: String,
    /// Its [package URL](https://github.com/package-url/purl-spec), when it is a package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests, by in-toto's name of the algorithm, in hexadecimal.
    pub digest: BTreeMap<String, String>,
}

impl Material {
    fn new(name: impl Into<String>, uri: Option<String>, (kind, digest): (&str, &str)) -> Self {
        let digest = BTreeMap::from([(kind.to_owned(), digest.to_owned())]);
        Self { name: name.into(), uri, digest }
    }

    fn of_hash(name: impl Into<String>, uri: Option<String>, hash: &Hash) -> Self {
        Self::new(name, uri, (hash.kind(), hash.as_str()))
    }
}

impl Plan {
    /// What people wrote and this build reads: profile, lockfile, the recipes of its roles and of its builds from source.
    ///
    /// # Errors
    /// When one of the files cannot be read.
    pub fn own_materials(&self) -> Result<Vec<Material>> {
        let mut files = BTreeMap::new();
        let mut add = |name: String, path: &Path| -> Result<()> {
            files.insert(name, sha256_hex(fs::read(path)?));
            Ok(())
        };
        add(lockfile::path(Path::new("")).display().to_string(), &self.lockfile)?;
        add(format!("profiles/{}.toml", self.profile.name), &self.profile.path)?;
        let layers = self.roles.iter().flat_map(|role| &role.layers);
        let layers = layers.map(|layer| (format!("{ROLES}/{}", layer.name), layer.folder.clone()));
        let builds = self.builds().map(|(_, build)| {
            let folder = Path::new(RECIPES).join(&build.recipe);
            (folder.display().to_string(), self.project.join(folder))
        });
        for (name, folder) in layers.chain(builds).collect::<BTreeSet<_>>() {
            for entry in WalkDir::new(&folder).follow_links(true) {
                let entry = entry.map_err(std::io::Error::from)?;
                if entry.file_type().is_file() {
                    let below = entry.path().strip_prefix(&folder).unwrap_or(entry.path());
                    add(format!("{name}/{}", below.display()), entry.path())?;
                }
            }
        }
        Ok(files.into_iter().map(|(name, sha256)| Material::new(name, None, ("sha256", &sha256))).collect())
    }

    /// What this build fetches, as the lock pins it; sorted by kind and name.
    #[must_use]
    pub fn locked_materials(&self) -> Vec<Material> {
        let mut materials = Vec::new();
        if let Some(sha256) = self.lock.firstboot.get(&self.arch) {
            materials.push(Material::new("firstboot", None, ("sha256", sha256.as_str())));
        }
        let mut of_kind = |mut kind: Vec<Material>| {
            kind.sort_by(|one, other| one.name.cmp(&other.name));
            kind.dedup();
            materials.append(&mut kind);
        };
        of_kind(self.packages().into_iter().map(|(_, deb)| of_package(deb)).collect());
        let sources = self
            .builds()
            .filter_map(|(_, build)| Some((build.source()?, self.lock.source.get(build.source()?)?)));
        of_kind(
            sources
                .flat_map(|(name, source)| source.files.iter().map(move |file| (name, source, file)))
                .map(|(name, source, file)| {
                    let uri = debian_url(name, &source.version, "source");
                    let file_name = file.file.rsplit('/').next().unwrap_or_default();
                    Material::new(file_name, uri, ("sha256", file.sha256.as_str()))
                })
                .collect(),
        );
        of_kind(crate::go::of_builds(&self.lock, &self.go_builds()).map(of_module).collect());
        of_kind(
            self.downloads()
                .filter_map(|(component, download)| {
                    let (hash, addresses) = (download.hash(self.arch)?, download.addresses(self.arch));
                    let file = addresses.first()?.rsplit('/').next().unwrap_or_default();
                    Some(Material::of_hash(format!("{component}: {file}"), None, &hash))
                })
                .collect(),
        );
        of_kind(
            self.container_images()
                .filter_map(|(_, image)| {
                    let Content::Registry(digests) = &image.content else { return None };
                    let sha256 = digests.get(&self.arch)?.sha256().as_str();
                    Some(Material::new(&image.reference, None, ("sha256", sha256)))
                })
                .collect(),
        );
        of_kind(
            self.local_files()
                .iter()
                .map(|file| Material::new(&file.key, None, ("sha256", file.sha256.as_str())))
                .collect(),
        );
        materials
    }
}

fn of_package(deb: &Deb) -> Material {
    let uri = debian_url(&deb.name, &deb.version, &deb.arch.to_string());
    Material::new(format!("{} {}", deb.name, deb.version), uri, ("sha256", deb.sha256.as_str()))
}

/// A module; of one whose go.mod alone is read, that file.
fn of_module(module: &Module) -> Material {
    let (name, sum) = match (&module.sum, &module.go_mod) {
        (Some(sum), _) => (module.to_string(), Some(sum)),
        (None, go_mod) => (format!("{module}/go.mod"), go_mod.as_ref()),
    };
    let digest = sum.map(ModuleSum::hex).unwrap_or_default();
    Material::new(name, go_url(&module.path, &module.version), ("dirHash", &digest))
}

/// The [package URL](https://github.com/package-url/purl-spec) of a package of Debian; `arch` is `source` for a source
/// package. None when it has no such URL.
#[must_use]
pub fn debian_url(name: &str, version: &str, arch: &str) -> Option<String> {
    let mut url = PackageUrl::new("deb", name).ok()?;
    url.with_namespace("debian").ok()?.with_version(version).ok()?.add_qualifier("arch", arch).ok()?;
    Some(url.to_string())
}

/// The package URL of a Go module.
#[must_use]
pub fn go_url(path: &str, version: &str) -> Option<String> {
    let (namespace, name) = path.rsplit_once('/').map_or((None, path), |(space, name)| (Some(space), name));
    let mut url = PackageUrl::new("golang", name).ok()?;
    if let Some(namespace) = namespace {
        url.with_namespace(namespace).ok()?;
    }
    url.with_version(version).ok()?;
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::{debian_url, go_url};

    #[test]
    fn packages_have_the_urls_that_the_specification_gives_them() {
        insta::assert_snapshot!(debian_url("libstdc++6", "1:14.2.0-19+b1", "amd64").unwrap(), @"pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bb1?arch=amd64");
        insta::assert_snapshot!(go_url("k8s.io/api", "v0.37.2").unwrap(), @"pkg:golang/k8s.io/api@v0.37.2");
        insta::assert_snapshot!(go_url("github.com/!azure/x/v2", "v2.0.0+incompatible").unwrap(), @"pkg:golang/github.com/!azure/x/v2@v2.0.0%2Bincompatible");
    }
}
