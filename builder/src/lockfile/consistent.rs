//! Whether a lock's parts agree, and whether its names are safe to make paths of. Needs nothing but the lock.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::Key;

use crate::ground::arch::Arch;
use crate::ground::hash::Digest;
use crate::ground::input::nearest;
use crate::ground::reference;
use crate::lockfile::format::{
    Build, BuildFrom, Component, Content, Deb, Download, Go, Lock, Program, Release, Unpack,
};
use crate::lockfile::go::TOOLCHAIN;

/// The archives that mirrors are found for.
const ARCHIVES: [&str; 2] = ["debian", "debian-security"];

/// The root whose packages are taken apart for components.
pub(crate) const COMPONENTS: &str = "components";

/// A disagreement.
#[derive(Debug)]
pub(super) struct Fault {
    /// The fact, with the key.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Fault {
    /// In what a person wrote.
    fn written(message: String) -> Self {
        Self { message, hint: None }
    }

    /// In what the update fills in.
    fn filled(message: String) -> Self {
        Self { message, hint: Some("builder lock update".to_owned()) }
    }
}

impl Lock {
    /// The first disagreement in what people write.
    pub(super) fn check_written(&self) -> Result<(), Fault> {
        known("release", &self.default_release, &self.release, "default-release")?;
        for (name, suite) in &self.suite {
            plain(name, &format!("suite.{name}"))?;
            if !ARCHIVES.contains(&suite.archive.as_str()) {
                let (archive, archives) = (&suite.archive, ARCHIVES.join("` or `"));
                return Err(Fault::written(format!(
                    "`suite.{name}.archive` is `{archive}`, not `{archives}`"
                )));
            }
        }
        for (name, root) in &self.root {
            known("suite", &root.suite, &self.suite, &format!("root.{name}"))?;
        }
        for (name, source) in &self.source {
            known("suite", &source.suite, &self.suite, &format!("source.{name}"))?;
        }
        for (name, Build { from, recipe, root, cross, output, .. }) in &self.build {
            let by = format!("build.{}", Key::new(name));
            match from {
                BuildFrom::Debian { source } => known("source", source, &self.source, &by)?,
                BuildFrom::Go(go) => check_go(go, &by)?,
            }
            [root]
                .into_iter()
                .chain(cross.values())
                .try_for_each(|root| known("root", root, &self.root, &by))?;
            plain(recipe, &format!("{by}.recipe"))?;
            output
                .values()
                .flat_map(BTreeMap::keys)
                .try_for_each(|file| plain(file, &format!("{by}.output")))?;
        }
        self.release.iter().try_for_each(|(name, release)| self.check_release(name, release))
    }

    fn check_release(&self, name: &str, release: &Release) -> Result<(), Fault> {
        for (part, component) in &release.component {
            let by = format!("release.{}.component.{}", Key::new(name), Key::new(part));
            match component {
                Component::Build { build } => known("build", build, &self.build, &by)?,
                Component::Deb { chosen, .. } => chosen.files.keys().try_for_each(|file| plain(file, &by))?,
                Component::Url(downloads) => check_downloads(downloads, &by)?,
                Component::Path { path, sha256 } => {
                    if path.is_empty() || sha256.values().all(BTreeMap::is_empty) {
                        let message =
                            format!("`{by}` needs a `path`, and in `sha256` a file for an architecture");
                        return Err(Fault::written(message));
                    }
                    sha256.values().flat_map(BTreeMap::keys).try_for_each(|file| plain(file, &by))?;
                }
            }
        }
        for (image, made) in &release.image {
            let by = format!("release.{name}.image.{image}");
            plain(image, &by)?;
            let made = match &made.content {
                Content::Made(made) => made,
                Content::Registry(digest) => {
                    check_registry(&made.reference, digest, &by)?;
                    continue;
                }
            };
            if let Some(root) = &made.root {
                known("root", root, &self.root, &format!("{by}.root"))?;
            }
            if let Some(Program { program, path, files, .. }) = &made.program {
                check_program(program, release, &format!("{by}.program"))?;
                for (place, file) in files {
                    if place == path || !is_place(place) {
                        let fact = "cannot be the path of a file beside its program";
                        return Err(Fault::written(format!("`{by}.files`: `{place}` {fact}")));
                    }
                    check_program(file, release, &format!("{by}.files.{place}"))?;
                }
            }
        }
        Ok(())
    }

    /// The first disagreement in what the update fills in.
    pub(super) fn check_filled(&self) -> Result<(), Fault> {
        if self.epoch <= 0 {
            return Err(Fault::filled("`epoch` is missing".to_owned()));
        }
        for (name, suite) in &self.suite {
            let snapshot = &suite.snapshot;
            if !is_snapshot(snapshot) {
                let fact =
                    if snapshot.is_empty() { "is missing".to_owned() } else { format!("is `{snapshot}`") };
                let message =
                    format!("`suite.{name}.snapshot` {fact}; it is a time such as `20261121T000000Z`");
                return Err(Fault::filled(message));
            }
        }
        self.deb.iter().try_for_each(|(suite, debs)| self.check_packages(suite, debs))?;
        for (name, source) in &self.source {
            let by = format!("source.{name}");
            if source.version.is_empty() || source.files.is_empty() {
                return Err(Fault::filled(format!("`{by}` has no version or no files")));
            }
            source.files.iter().try_for_each(|file| inside_pool(&file.file, &by))?;
        }
        self.check_modules()?;
        for (name, release) in &self.release {
            for (part, component) in &release.component {
                let Component::Deb { deb, .. } = component else { continue };
                let is_it = |entry: &Deb| entry.name == *deb && entry.roots.contains(COMPONENTS);
                if !self.deb.values().flatten().any(is_it) {
                    return Err(Fault::filled(format!(
                        "`release.{name}.component.{part}` names the package `{deb}`, which the root \
                         `{COMPONENTS}` does not have"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Modules that are read by builds that are there, once each, and builds whose modules are known.
    fn check_modules(&self) -> Result<(), Fault> {
        let mut seen = BTreeSet::new();
        for module in &self.go.modules {
            let by = format!("go.modules: {module}");
            if !seen.insert((&module.path, &module.version, module.sum.is_some())) {
                return Err(Fault::filled(format!("`go.modules` has `{module}` twice")));
            }
            if module.sum.is_none() && module.go_mod.is_none() {
                return Err(Fault::filled(format!("`go.modules` has no hash of `{module}`")));
            }
            let parts = || module.path.split('/').chain([module.version.as_str()]);
            if parts().any(|part| matches!(part, "" | "." | "..") || part.contains(['\\', '@', '\0'])) {
                return Err(Fault::filled(format!("`go.modules`: `{module}` is no version of a module")));
            }
            for build in &module.builds {
                known("build", build, &self.build, &by).map_err(|fault| Fault::filled(fault.message))?;
            }
        }
        for (name, go) in self.build.iter().filter_map(|(name, build)| Some((name, build.go()?))) {
            let reads = self.modules(name).any(|module| module.path == TOOLCHAIN);
            if !reads || go.files.is_empty() || go.module.is_some() && go.version.is_empty() {
                let message = format!("`build.{}` has no modules or no version yet", Key::new(name));
                return Err(Fault { message, hint: Some(format!("builder lock update {name}")) });
            }
        }
        Ok(())
    }

    fn check_packages(&self, suite: &str, debs: &[Deb]) -> Result<(), Fault> {
        let filled = |fault: Fault| Fault::filled(fault.message);
        known("suite", suite, &self.suite, &format!("deb.{suite}")).map_err(filled)?;
        let mut seen = BTreeSet::new();
        for Deb { name, arch, roots, file, .. } in debs {
            let by = format!("deb.{suite}: {name}");
            if !seen.insert((arch, name)) {
                return Err(Fault::filled(format!(
                    "`deb.{suite}` has the package `{name}` twice for {arch}"
                )));
            }
            if roots.is_empty() {
                return Err(Fault::filled(format!("`{by}` belongs to no root")));
            }
            for root in roots {
                known("root", root, &self.root, &by).map_err(filled)?;
                let of = self.root.get(root).map(|root| root.suite.as_str()).unwrap_or_default();
                if of != suite {
                    let message =
                        format!("`{by}` belongs to the root `{root}`, which is of the suite `{of}`");
                    return Err(Fault::filled(message));
                }
            }
            inside_pool(file, &by)?;
        }
        Ok(())
    }
}

/// Programs that the go command can compile, and names that stay where they are put.
fn check_go(go: &Go, by: &str) -> Result<(), Fault> {
    let wrong = |fact: String| Err(Fault::written(format!("`{by}.go{fact}")));
    let version = go.toolchain.strip_prefix("go").unwrap_or_default();
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
        return wrong(format!(".toolchain` is `{}`, not a version such as `go1.27.3`", go.toolchain));
    }
    if go.programs.is_empty() && go.tests.is_empty() {
        return wrong(".programs` names no program".to_owned());
    }
    for (key, packages) in [("programs", &go.programs), ("tests", &go.tests)] {
        for (name, package) in packages {
            plain(name, &format!("{by}.go.{key}"))?;
            if package.is_empty() || package.starts_with('-') || package.contains(char::is_whitespace) {
                return wrong(format!(".{key}.{name}`: `{package}` is no package"));
            }
        }
    }
    if let Some(name) = go.tests.keys().find(|name| go.programs.contains_key(*name)) {
        return wrong(format!(".tests.{name}` is one of its programs, too"));
    }
    for (name, file) in &go.data {
        plain(name, &format!("{by}.go.data"))?;
        let known = go.programs.contains_key(name) || go.tests.contains_key(name);
        let (package, file) = Go::package(file);
        if known || package.is_empty() || package.starts_with('-') || package.contains(char::is_whitespace) {
            return wrong(format!(".data.{name}` is not `PACKAGE/FILE`, or one of its programs"));
        }
        plain(file, &format!("{by}.go.data.{name}"))?;
    }
    for (name, further) in &go.names {
        known("program", name, &go.programs, &format!("{by}.go.names"))?;
        further.iter().try_for_each(|further| plain(further, &format!("{by}.go.names")))?;
    }
    let is_name = |word: &String| {
        !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c == '\'' || c == '"')
    };
    if let Some(tag) = go.tags.iter().find(|tag| !is_name(tag) || tag.contains(',')) {
        return wrong(format!(".tags`: `{tag}` is no build tag"));
    }
    // The linker takes a variable and its value as one word in quotes.
    match go
        .variables
        .iter()
        .find(|(name, value)| !is_name(name) || name.contains('=') || value.contains(['\'', '\n']))
    {
        Some((name, value)) => wrong(format!(".variables`: `{name}` cannot be set to `{value}`")),
        None => Ok(()),
    }
}

/// Downloads that can be had, verified and taken apart as they say.
fn check_downloads(downloads: &[Download], by: &str) -> Result<(), Fault> {
    if downloads.is_empty() {
        return Err(Fault::written(format!("`{by}.url` names no download")));
    }
    let mut seen = BTreeSet::new();
    for (index, download) in downloads.iter().enumerate() {
        let by = format!("{by}.url[{index}]");
        let wrong = |fact: &str| Err(Fault::written(format!("`{by}`{fact}")));
        let Download { urls, sha256, sha512, size, unpack, file, files, folder } = download;
        if urls.is_empty() {
            return wrong(" has no `urls`");
        }
        if let Some(url) = urls.iter().find(|url| !is_address(url)) {
            return wrong(&format!(": `{url}` is no http://, https:// or file:// address"));
        }
        let architectures: BTreeSet<Arch> = sha256.keys().chain(sha512.keys()).copied().collect();
        if architectures.is_empty() {
            return wrong(" has neither `sha256` nor `sha512`");
        }
        if let Some(arch) = sha256.keys().find(|arch| sha512.contains_key(arch)) {
            return wrong(&format!(" has both `sha256` and `sha512` for {arch}"));
        }
        if let Some(arch) = size.keys().find(|arch| !architectures.contains(arch)) {
            return wrong(&format!(" has a `size` for {arch}, but no checksum"));
        }
        match (unpack, file, files.is_empty() && folder.is_none()) {
            (Unpack::None, Some(_), true) | (Unpack::TarGz, None, false) => {}
            (Unpack::None, ..) => {
                return wrong(" is not unpacked: it needs `file`, and no `files` or `folder`");
            }
            (Unpack::TarGz, ..) => return wrong(" is unpacked: it needs `files` or `folder`, and no `file`"),
        }
        for name in files.keys().chain(file) {
            plain(name, &by)?;
            if let Some(arch) = architectures.iter().find(|arch| !seen.insert((**arch, name))) {
                return wrong(&format!(": another download has the file `{name}` for {arch}"));
            }
        }
    }
    Ok(())
}

/// Whether a path leads from the root to a file.
fn is_place(path: &str) -> bool {
    let Some(inside) = path.strip_prefix('/') else { return false };
    !path.contains('\0') && inside.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// A container image's program, or a file beside it, is a file of a component.
fn check_program(program: &str, release: &Release, by: &str) -> Result<(), Fault> {
    let Some((component, file)) = program.split_once(':') else {
        return Err(Fault::written(format!("`{by}` is `{program}`, not `component:file`")));
    };
    known("component", component, &release.component, by)?;
    let Some(files) = release.component.get(component).and_then(Component::all_names) else { return Ok(()) };
    let files = files.into_iter().map(|name| (name.to_owned(), ())).collect();
    known("file", file, &files, by)
}

/// An image of a registry that can be asked for, of some architecture.
fn check_registry(reference: &str, digest: &BTreeMap<Arch, Digest>, by: &str) -> Result<(), Fault> {
    if digest.is_empty() {
        return Err(Fault::written(format!("`{by}` has an empty `digest`")));
    }
    reference::check(reference)
        .map_err(|fact| Fault::written(format!("`{by}.reference` is `{reference}`: {fact}")))
}

/// Whether files can be fetched from there.
fn is_address(url: &str) -> bool {
    let rest = ["http://", "https://", "file:///"].iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty()) && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// A name that something refers to is there.
fn known<T>(what: &str, name: &str, names: &BTreeMap<String, T>, by: &str) -> Result<(), Fault> {
    if names.contains_key(name) {
        return Ok(());
    }
    let message = format!("`{by}` names the {what} `{name}`, which is not in the lock");
    let hint = nearest(name, names.keys().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
    Err(Fault { message, hint })
}

/// A name that becomes a file's or folder's stays where it is put.
fn plain(name: &str, by: &str) -> Result<(), Fault> {
    let bad = name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']);
    if bad { Err(Fault::written(format!("`{by}`: `{name}` cannot be the name of a file"))) } else { Ok(()) }
}

/// A pool file name stays below the archive's root.
fn inside_pool(file: &str, by: &str) -> Result<(), Fault> {
    let good = file.starts_with("pool/") && file.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let message = || format!("`{by}`: `{file}` is not a file below the archive's `pool/`");
    if good { Ok(()) } else { Err(Fault::filled(message())) }
}

/// `YYYYMMDDTHHMMSSZ`.
fn is_snapshot(text: &str) -> bool {
    text.len() == 16
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}
