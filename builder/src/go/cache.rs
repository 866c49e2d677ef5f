//! The go command's module cache (<https://go.dev/ref/mod#module-cache>): where it keeps what it downloaded, and laying
//! modules of the store out there.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::go::module::key;
use crate::ground::error::Result;
use crate::lockfile::format::Module;
use crate::store::Store;

/// A module's content in the store.
pub(super) const ZIP: &str = "module.zip";

/// A module's go.mod in the store.
pub(super) const GO_MOD: &str = "go.mod";

/// Where the downloads are.
pub(super) const DOWNLOADS: &str = "cache/download";

/// The place of a module's files in a cache; the go command writes capital letters as `!` and the small one, for file
/// systems that do not tell them apart.
pub(super) fn place(cache: &Path, module: &Module, suffix: &str) -> PathBuf {
    let Module { path, version, .. } = module;
    cache.join(DOWNLOADS).join(escaped(path)).join("@v").join(format!("{}.{suffix}", escaped(version)))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if letter.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(letter.to_ascii_lowercase());
    }
    escaped
}

/// The opposite of what a place is written with.
pub(super) fn plain(escaped: &str) -> String {
    let mut text = String::new();
    let mut capital = false;
    for letter in escaped.chars() {
        match letter {
            '!' => capital = true,
            _ if std::mem::take(&mut capital) => text.push(letter.to_ascii_uppercase()),
            _ => text.push(letter),
        }
    }
    text
}

/// The files of a module in the store, and how the go command calls them.
pub(super) fn files(module: &Module) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let go_mod = module.go_mod.is_some().then_some((GO_MOD, "mod"));
    go_mod.into_iter().chain(module.sum.is_some().then_some((ZIP, "zip")))
}

/// Gives a cache those of some modules that the store has, as if the go command had downloaded them; it compares them with
/// go.sum itself once more.
///
/// # Errors
/// When something cannot be linked.
pub(crate) fn lay_out<'a>(
    store: &Store,
    modules: impl Iterator<Item = &'a Module>,
    cache: &Path,
) -> io::Result<()> {
    for module in modules {
        let Some(kept) = store.made(&key(module)) else { continue };
        for (name, suffix) in files(module) {
            let to = place(cache, module, suffix);
            fs::create_dir_all(to.parent().unwrap_or(cache))?;
            link(&kept.join(name), &to)?;
        }
    }
    Ok(())
}

/// What gives a folder of the store a module's files from a cache.
pub(super) fn keep(cache: &Path, module: &Module) -> impl FnOnce(&Path) -> Result<()> + use<> {
    let files: Vec<_> = files(module).map(|(name, suffix)| (place(cache, module, suffix), name)).collect();
    move |folder| Ok(files.iter().try_for_each(|(path, name)| link(path, &folder.join(name)))?)
}

/// A second name where that is to be had: what is in the store is never written to.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => fs::copy(from, to).map(drop),
        done => done,
    }
}

/// The files that the store keeps of a module.
pub(crate) fn parts(module: &Module) -> impl Iterator<Item = &'static str> + use<> {
    files(module).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{place, plain};
    use crate::lockfile::format::{Module, ModuleSum};

    #[test]
    fn capital_letters_are_written_out() {
        let module = Module {
            path: "github.com/Azure/go-x".to_owned(),
            version: "v1.0.0-RC1".to_owned(),
            builds: BTreeSet::new(),
            sum: None,
            go_mod: Some(ModuleSum::of(&[0; 32])),
            size: None,
        };
        let place = place(Path::new("/c"), &module, "zip");
        assert_eq!(place, Path::new("/c/cache/download/github.com/!azure/go-x/@v/v1.0.0-!r!c1.zip"));
        assert_eq!(plain("github.com/!azure/go-x"), "github.com/Azure/go-x");
    }
}
