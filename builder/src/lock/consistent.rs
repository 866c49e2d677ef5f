//! Whether a lock's parts agree, and whether its names are safe to make paths of. Needs nothing but the lock.

use std::collections::{BTreeMap, BTreeSet};

use super::format::{Build, Component, Deb, Lock, Release};

/// The archives that mirrors are found for.
const ARCHIVES: [&str; 2] = ["debian", "debian-security"];

/// The root whose packages are taken apart for components.
const COMPONENTS: &str = "components";

impl Lock {
    /// The first disagreement, with its key.
    pub(super) fn check(&self) -> Result<(), String> {
        known("release", &self.default_release, &self.release, "default-release")?;
        self.check_suites()?;
        self.check_packages()?;
        self.check_sources()?;
        self.release.iter().try_for_each(|(name, release)| self.check_release(name, release))
    }

    fn check_suites(&self) -> Result<(), String> {
        if self.epoch <= 0 {
            return Err("`epoch` is missing".to_owned());
        }
        for (name, suite) in &self.suite {
            plain(name, &format!("suite.{name}"))?;
            if !ARCHIVES.contains(&suite.archive.as_str()) {
                let archives = ARCHIVES.join("` or `");
                return Err(format!("`suite.{name}.archive` is `{}`, not `{archives}`", suite.archive));
            }
            if !is_snapshot(&suite.snapshot) {
                return Err(format!(
                    "`suite.{name}.snapshot` is `{}`, not a time such as `20261121T000000Z`",
                    suite.snapshot
                ));
            }
        }
        Ok(())
    }

    fn check_packages(&self) -> Result<(), String> {
        for (name, root) in &self.root {
            known("suite", &root.suite, &self.suite, &format!("root.{name}"))?;
        }
        for (suite, debs) in &self.deb {
            known("suite", suite, &self.suite, &format!("deb.{suite}"))?;
            let mut seen: BTreeSet<(&str, _)> = BTreeSet::new();
            for Deb { name, arch, roots, file, .. } in debs {
                let by = format!("deb.{suite}: {name}");
                if !seen.insert((name, arch)) {
                    return Err(format!("`deb.{suite}` has the package `{name}` twice for {arch}"));
                }
                if roots.is_empty() {
                    return Err(format!("`{by}` belongs to no root"));
                }
                for root in roots {
                    known("root", root, &self.root, &by)?;
                    let of = self.root.get(root).map(|root| root.suite.as_str()).unwrap_or_default();
                    if of != suite {
                        return Err(format!(
                            "`{by}` belongs to the root `{root}`, which is of the suite `{of}`"
                        ));
                    }
                }
                inside_pool(file, &by)?;
            }
        }
        Ok(())
    }

    fn check_sources(&self) -> Result<(), String> {
        for (name, source) in &self.source {
            let by = format!("source.{name}");
            known("suite", &source.suite, &self.suite, &by)?;
            if source.version.is_empty() || source.files.is_empty() {
                return Err(format!("`{by}` has no version or no files"));
            }
            source.files.iter().try_for_each(|file| inside_pool(&file.file, &by))?;
        }
        for (name, Build { source, recipe, root, output, .. }) in &self.build {
            let by = format!("build.{name}");
            known("source", source, &self.source, &by)?;
            known("root", root, &self.root, &by)?;
            plain(recipe, &format!("{by}.recipe"))?;
            output
                .values()
                .flat_map(BTreeMap::keys)
                .try_for_each(|file| plain(file, &format!("{by}.output")))?;
        }
        Ok(())
    }

    fn check_release(&self, name: &str, release: &Release) -> Result<(), String> {
        for (part, component) in &release.component {
            let by = format!("release.{name}.component.{part}");
            match component {
                Component::Build { build } => known("build", build, &self.build, &by)?,
                Component::Deb { deb, files, .. } => {
                    let of_components = |entry: &&Deb| entry.name == *deb && entry.roots.contains(COMPONENTS);
                    if self.deb.values().flatten().find(of_components).is_none() {
                        return Err(format!("`{by}` names the package `{deb}`, which is not in the lock"));
                    }
                    files.keys().try_for_each(|file| plain(file, &by))?;
                }
            }
        }
        for (image, made) in &release.image {
            let by = format!("release.{name}.image.{image}");
            plain(image, &by)?;
            let Some((component, file)) = made.program.split_once(':') else {
                return Err(format!("`{by}.program` is `{}`, not `component:file`", made.program));
            };
            known("component", component, &release.component, &by)?;
            if let Some(Component::Deb { files, folder: None, .. }) = release.component.get(component) {
                known("file", file, files, &format!("{by}.program"))?;
            }
        }
        Ok(())
    }
}

/// A name that something refers to is there.
fn known<T>(what: &str, name: &str, names: &BTreeMap<String, T>, by: &str) -> Result<(), String> {
    if names.contains_key(name) {
        Ok(())
    } else {
        Err(format!("`{by}` names the {what} `{name}`, which is not in the lock"))
    }
}

/// A name that becomes a file's or folder's stays where it is put.
fn plain(name: &str, by: &str) -> Result<(), String> {
    let bad = name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']);
    if bad { Err(format!("`{by}`: `{name}` cannot be the name of a file")) } else { Ok(()) }
}

/// A pool file name stays below the archive's root.
fn inside_pool(file: &str, by: &str) -> Result<(), String> {
    let good = file.starts_with("pool/") && file.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if good { Ok(()) } else { Err(format!("`{by}`: `{file}` is not a file below the archive's `pool/`")) }
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
