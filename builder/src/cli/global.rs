//! What every command may use of the arguments before and behind it.

use std::path::PathBuf;

use clap::Args;

use crate::bundle::{Home, MadeFor};
use crate::ground::arch::Arch;
use crate::ground::error::{Class, Explain, Result};
use crate::lockfile;
use crate::mirror::Mirrors;
use crate::plan::Request;
use crate::role::Recipes;

/// What happens without `--secret`.
pub(super) const SECRET: &str =
    "Without --secret the first build makes secrets/CLUSTER.key in Kiln's folder.";

/// Which profile, release and lockfile.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Name of a profile in profiles/, or the path of one
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: String,
    /// Another release than the profile's or the lockfile's
    #[arg(long, value_name = "RELEASE")]
    pub(super) release: Option<String>,
    /// Architecture: amd64 or arm64 [default: amd64]
    #[arg(long, value_name = "ARCH", hide_possible_values = true)]
    pub(super) arch: Option<Arch>,
    /// Another lockfile than that of Kiln's folder
    #[arg(long, value_name = "FILE")]
    pub(super) lockfile: Option<PathBuf>,
}

/// What every command may use of the global arguments.
pub(super) struct Global {
    pub(super) project: PathBuf,
    pub(super) store: Option<PathBuf>,
    pub(super) debian_mirror: Option<String>,
    pub(super) images: Option<PathBuf>,
    /// What the bundle was made for, when the project is one.
    pub(super) made_for: Option<MadeFor>,
}

impl Global {
    /// The builder of a bundle is at home in its folder, unless it is told another one.
    pub(super) fn new(
        project: Option<PathBuf>,
        store: Option<PathBuf>,
        debian_mirror: Option<String>,
        images: Option<PathBuf>,
    ) -> Result<Self> {
        let home = if project.is_none() { Home::around()? } else { None };
        let (folder, made_for) = home.map(|home| (home.folder, home.made_for)).unzip();
        let store = store.or_else(|| Some(folder.as_ref()?.join("store")));
        let project = project.or(folder).unwrap_or_else(|| PathBuf::from("."));
        Ok(Self { project, store, debian_mirror, images, made_for })
    }

    pub(super) fn request(&self, target: &Target) -> Request {
        let made_for = self.made_for.as_ref().filter(|made_for| made_for.profile == target.profile);
        let release = || made_for.map(|made_for| made_for.release.clone());
        let arch = target.arch.or(made_for.map(|made_for| made_for.arch));
        Request {
            project: self.project.clone(),
            profile: target.profile.clone(),
            release: target.release.clone().or_else(release),
            arch: arch.unwrap_or(Arch::HOST),
            lockfile: self.lockfile(target.lockfile.clone()),
            images: self.images.clone(),
        }
    }

    /// A lockfile that was named, else the project's own.
    pub(super) fn lockfile(&self, named: Option<PathBuf>) -> PathBuf {
        named.unwrap_or_else(|| lockfile::path(&self.project))
    }

    /// Where recipes are.
    pub(super) fn recipes(&self) -> Recipes {
        Recipes::of(&self.project, self.images.as_deref())
    }

    /// Without a network nobody needs to name one.
    pub(super) fn mirrors(&self, offline: bool) -> Result<Mirrors> {
        let find = if offline { Mirrors::known } else { Mirrors::find };
        Ok(find(self.debian_mirror.as_deref())?)
    }

    /// The store: the argument, else the user's cache folder (XDG base directory specification).
    pub(super) fn store(&self) -> Result<PathBuf> {
        if let Some(path) = &self.store {
            return Ok(path.clone());
        }
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        Ok(cache.map(|cache| cache.join("kiln")).ok_or(NoStore)?)
    }
}

/// There is no home folder.
#[derive(Debug, thiserror::Error)]
#[error("no place for the store: neither XDG_CACHE_HOME nor HOME is set")]
struct NoStore;

impl Explain for NoStore {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some("name one with `--store DIR`".to_owned())
    }
}
