//! Which machines a command is about: the results of a profile, and what runs them.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::cli::global::Global;
use crate::driver::{self, Driver};
use crate::ground::error::{Class, Explain, Result};
use crate::profile::Profile;
use crate::results::cluster;

/// Takes the names of the drivers.
pub(super) fn driver_parser() -> impl TypedValueParser<Value = &'static dyn Driver> {
    let names = driver::DRIVERS.map(|driver| PossibleValue::new(driver.name()).aliases(driver.alias()));
    PossibleValuesParser::new(names).try_map(|name| driver::named(&name).ok_or("there is no such driver"))
}

/// Which results.
#[derive(Debug, Args)]
pub(super) struct Results {
    /// Name of a built profile, or the path of its file
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: String,
    /// Folder that `builder build` wrote to
    #[arg(long, value_name = "DIR", default_value = driver::OUT)]
    out: PathBuf,
}

/// Which machines.
#[derive(Debug, Args)]
pub(super) struct Machines {
    #[command(flatten)]
    pub(super) results: Results,
    /// qemu, libvirt or multipass; else what runs, or qemu
    #[arg(long, value_parser = driver_parser(), hide_possible_values = true)]
    driver: Option<&'static dyn Driver>,
}

impl Results {
    /// The profile's folder. What was built needs no profile any more; where nothing was, a misspelt one is named as
    /// such, not as a missing result.
    pub(super) fn folder(&self, global: &Global) -> Result<PathBuf> {
        let path = Profile::path(&global.project, &self.profile);
        let built = self.out.join(path.file_stem().unwrap_or_default());
        if driver::is_there(&built) {
            return Ok(built);
        }
        Ok(self.out.join(Profile::load(&global.project, &self.profile)?.name))
    }

    /// The same, where something has to be built.
    pub(super) fn built(&self, global: &Global) -> Result<PathBuf> {
        let folder = self.folder(global)?;
        if folder.join(cluster::FILE).exists() {
            return Ok(folder);
        }
        Err(NotBuilt { profile: self.profile.clone(), out: self.out.clone() }.into())
    }

    /// The same on a command line.
    pub(super) fn arguments(&self) -> String {
        driver::words(&self.profile, &self.out)
    }
}

/// Nothing was built of a profile.
#[derive(Debug, thiserror::Error)]
#[error("nothing was built of the profile `{profile}` in `{}`", out.display())]
struct NotBuilt {
    /// As it was given.
    profile: String,
    /// The folder of results.
    out: PathBuf,
}

impl Explain for NotBuilt {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some(format!("builder build {}", driver::words(&self.profile, &self.out)))
    }
}

impl Machines {
    /// The profile's folder, where nothing need be built.
    pub(super) fn folder(&self, global: &Global) -> Result<(PathBuf, &'static dyn Driver)> {
        let folder = self.results.folder(global)?;
        let driver = driver::expect(&folder, self.driver)?;
        Ok((folder, driver))
    }

    /// The folder of what was built, and what runs its machines.
    pub(super) fn built(&self, global: &Global) -> Result<(PathBuf, &'static dyn Driver)> {
        let folder = self.results.built(global)?;
        let driver = driver::expect(&folder, self.driver)?;
        Ok((folder, driver))
    }
}
