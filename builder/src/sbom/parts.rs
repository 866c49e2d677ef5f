//! What is in an image, as both forms of a bill tell it: parts, and which of them are in which.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use packageurl::PackageUrl;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::go::buildinfo::BuildInfo;
use crate::ground::error::Result;
use crate::ground::hash::{Sha256Hex, sha256_of_file};
use crate::ground::repro::sha256_hex;
use crate::lockfile::format::{Component, Content, Deb, Module};
use crate::plan::Plan;
use crate::plan::materials::{debian_url, go_url};
use crate::results::image::Image;
use crate::role::{ComponentFile, Components, IMAGES, Role};
use crate::sbom::error::SbomError;
use crate::sbom::licence::Licences;

/// The crates in firstboot, as cargo told them when it was compiled.
const CRATES: &str = include_str!(concat!(env!("OUT_DIR"), "/crates.json"));

/// Kinds of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The image itself.
    Image,
    /// A package of Debian.
    Package,
    /// A program or another file that no package brought.
    File,
    /// A Go module in a program.
    Module,
    /// A crate in firstboot.
    Crate,
    /// A container image.
    Container,
}

/// A part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// Its package URL.
    pub(super) url: Option<String>,
    pub(super) sha256: Option<String>,
    /// An SPDX expression.
    pub(super) licence: Option<String>,
    /// The parts in it, by their names in the bill.
    pub(super) holds: BTreeSet<String>,
}

/// What is in an image.
#[derive(Debug)]
pub(super) struct Bill {
    /// The image, which holds the rest, and its name in the bill.
    pub(super) image: (String, Part),
    /// Everything else, by a name that is one in SPDX and in CycloneDX.
    pub(super) parts: BTreeMap<String, Part>,
    /// The time of the lock, in seconds since 1970.
    pub(super) epoch: i64,
    /// A hash that stands for all of it.
    pub(super) id: Sha256Hex,
}

/// A time in seconds since 1970, as RFC 3339 writes it.
pub(super) fn utc(epoch: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(epoch).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (day, time) = (at.date(), at.time());
    let (month, hour) = (u8::from(day.month()), time.hour());
    format!("{}-{month:02}-{:02}T{hour:02}:{:02}:{:02}Z", day.year(), day.day(), time.minute(), time.second())
}

/// A crate, as build.rs writes it.
#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    license: Option<String>,
}

impl Part {
    fn new(kind: Kind, name: &str) -> Self {
        let (version, url, sha256, licence) = (None, None, None, None);
        Self { kind, name: name.to_owned(), version, url, sha256, licence, holds: BTreeSet::new() }
    }

    /// Its name in the bill: for people, and one of its own.
    fn id(&self) -> String {
        let of = (&self.name, &self.version, &self.url, &self.sha256);
        let digest = sha256_hex(format!("{:?} {of:?}", self.kind));
        let clean: String = self
            .name
            .chars()
            .map(|it| if it.is_ascii_alphanumeric() || it == '.' { it } else { '-' })
            .collect();
        format!("{:?}-{clean}-{}", self.kind, &digest[..8])
    }
}

/// What is found of a role's image.
struct Finding<'a> {
    plan: &'a Plan,
    components: &'a Components,
    licences: &'a Licences,
    parts: BTreeMap<String, Part>,
}

impl Bill {
    /// What is in the image of a role.
    ///
    /// # Errors
    /// [`SbomError`], or when a program cannot be read.
    pub(super) fn of(
        plan: &Plan,
        role: &Role,
        image: &Image,
        components: &Components,
        licences: &Licences,
    ) -> Result<Self> {
        let mut finding = Finding { plan, components, licences, parts: BTreeMap::new() };
        let mut whole = Part::new(Kind::Image, &image.role);
        whole.version = Some(plan.cluster.release.clone());
        whole.sha256 = Some(image.content_sha256.to_string());
        for deb in plan.lock.packages_of(&role.package_roots(), plan.arch) {
            whole.holds.insert(finding.package(deb));
        }
        whole.holds.insert(finding.firstboot());
        for (component, file) in role.files().filter(|(component, _)| *component != IMAGES) {
            for (name, it) in finding.files(component, file) {
                whole.holds.insert(finding.program(component, name, it)?);
            }
        }
        for (_, container) in plan.container_images().filter(|(name, _)| role.has_image(name)) {
            let mut part = Part::new(Kind::Container, &container.reference);
            match &container.content {
                Content::Registry(digests) => {
                    part.sha256 = digests.get(&plan.arch).map(|digest| digest.sha256().to_string());
                }
                Content::Made(made) => {
                    let root = made.root.as_deref().unwrap_or_default();
                    part.holds.extend(plan.lock.packages(root, plan.arch).map(|deb| finding.package(deb)));
                    for (_, file) in made.program.iter().flat_map(|program| program.all()) {
                        let (component, file) = file.split_once(':').unwrap_or_default();
                        for (name, it) in finding.files(component, file) {
                            part.holds.insert(finding.program(component, name, it)?);
                        }
                    }
                }
            }
            whole.holds.insert(finding.add(part));
        }
        let id = sha256_hex(format!("{whole:?} {:?}", finding.parts));
        Ok(Self {
            image: (whole.id(), whole),
            parts: finding.parts,
            epoch: plan.lock.epoch,
            id: id.parse().map_err(std::io::Error::other)?,
        })
    }
}

impl Bill {
    /// The image and everything in it, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Part)> {
        let (image, whole) = &self.image;
        [(image, whole)].into_iter().chain(&self.parts)
    }
}

impl<'a> Finding<'a> {
    fn add(&mut self, part: Part) -> String {
        let id = part.id();
        self.parts.insert(id.clone(), part);
        id
    }

    fn package(&mut self, deb: &Deb) -> String {
        let mut part = Part::new(Kind::Package, &deb.name);
        part.version = Some(deb.version.clone());
        part.url = debian_url(&deb.name, &deb.version, &deb.arch.to_string());
        part.sha256 = Some(deb.sha256.to_string());
        part.licence = self.licences.get(&deb.name).cloned();
        self.add(part)
    }

    /// The files of a component that a recipe names; those that are other names of one are left out.
    fn files(&self, component: &str, file: &str) -> Vec<(&'a str, &'a ComponentFile)> {
        let files = self.components.get(component).into_iter().flatten();
        let named = files.filter(|(name, it)| it.of.is_none() && (file == "*" || *name == file));
        let mut found: Vec<_> = named.map(|(name, it)| (name.as_str(), it)).collect();
        // Another name alone stands for the program itself.
        if found.is_empty()
            && let Some(files) = self.components.get(component)
            && let Some(of) = files.get(file).and_then(|it| it.of.as_ref())
            && let Some((name, it)) = files.get_key_value(of)
        {
            found.push((name.as_str(), it));
        }
        found
    }

    fn program(&mut self, component: &str, name: &str, file: &ComponentFile) -> Result<String> {
        let mut part = Part::new(Kind::File, name);
        let from = self.plan.release.component.get(component);
        if let Some(Component::Deb { deb, .. }) = from
            && let Some(deb) =
                self.plan.lock.packages("components", self.plan.arch).find(|it| it.name == *deb)
        {
            let package = self.package(deb);
            part.version = Some(deb.version.clone());
            part.holds.insert(package);
        }
        let build = match from {
            Some(Component::Build { build }) => Some(build.as_str()),
            _ => None,
        };
        // A build from source made what the lock says.
        let known = build.and_then(|it| self.plan.lock.build.get(it)?.output.get(&self.plan.arch)?.get(name));
        part.sha256 = Some(match known {
            Some(sha256) => sha256.to_string(),
            None => sha256_of_file(&file.path)?,
        });
        if let Some(info) = BuildInfo::read(fs::File::open(&file.path)?)? {
            // A program of the recipe's own, which stands for a module's programs, is of that module's version.
            let own = build.and_then(|build| self.plan.lock.build.get(build)?.go());
            let own = own.map(|go| go.version.clone()).filter(|version| !version.is_empty());
            part.version = info.version().map(str::to_owned).or(own).or(part.version);
            part.holds.extend(self.modules(name, build, &info)?);
        }
        Ok(self.add(part))
    }

    /// The modules that a program says are in it: of one that the lock compiles, the lock's.
    fn modules(
        &mut self,
        program: &str,
        build: Option<&str>,
        info: &BuildInfo,
    ) -> Result<Vec<String>, SbomError> {
        let mut found = Vec::new();
        let mut standard = Part::new(Kind::Module, "stdlib");
        standard.version = Some(info.go.trim_start_matches("go").to_owned());
        standard.url = go_url("stdlib", info.go.trim_start_matches("go"));
        standard.licence = Some("BSD-3-Clause".to_owned());
        found.push(self.add(standard));
        let go = build.filter(|build| self.plan.lock.build.get(*build).is_some_and(|it| it.go().is_some()));
        for compiled in info.modules.iter().filter(|module| !module.sum.is_empty()) {
            let is_it = |module: &&Module| {
                module.path == compiled.path
                    && module.version == compiled.version
                    && module.sum.as_ref().is_some_and(|sum| sum.as_str() == compiled.sum)
            };
            if let Some(build) =
                go.filter(|build| !self.plan.lock.modules(build).any(|module| is_it(&module)))
            {
                let (program, build) = (program.to_owned(), build.to_owned());
                let module = format!("{}@{}", compiled.path, compiled.version);
                return Err(SbomError::Module { program, module, build });
            }
            let mut part = Part::new(Kind::Module, &compiled.path);
            part.version = Some(compiled.version.clone());
            part.url = go_url(&compiled.path, &compiled.version);
            found.push(self.add(part));
        }
        Ok(found)
    }

    fn firstboot(&mut self) -> String {
        let crates: Vec<Crate> = serde_json::from_str(CRATES).unwrap_or_default();
        let mut part = Part::new(Kind::File, "firstboot");
        part.version = Some(env!("CARGO_PKG_VERSION").to_owned());
        part.licence = Some(env!("CARGO_PKG_LICENSE").to_owned());
        part.sha256 = self.plan.lock.firstboot.get(&self.plan.arch).map(ToString::to_string);
        for Crate { name, version, license } in crates {
            let mut it = Part::new(Kind::Crate, &name);
            it.url = PackageUrl::new("cargo", name.as_str()).ok().and_then(|mut url| {
                url.with_version(version.as_str()).ok()?;
                Some(url.to_string())
            });
            it.version = Some(version);
            // Older manifests write `MIT/Apache-2.0`.
            it.licence = license.map(|it| it.replace('/', " OR "));
            part.holds.insert(self.add(it));
        }
        self.add(part)
    }
}
