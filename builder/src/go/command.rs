//! The go command in a sandbox with the host's network and the person's settings. It fetches and looks; it never
//! compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use crate::go::settings::{self, ENVIRONMENT, HOME};
use crate::ground::arch::Arch;
use crate::lockfile::format::Go;
use crate::sandbox::{LOOK, Sandbox, SandboxError};

/// The module cache inside.
const CACHE: &str = "/kiln/cache";

/// The pinned Go inside.
const GO: &str = "/kiln/go";

/// The recipe inside.
const RECIPE: &str = "/kiln/recipe";

/// How long it may work without that anything comes: longer than it takes to compute what Kubernetes is made of.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked whether something came.
const PAUSE: Duration = Duration::from_secs(2);

/// A go command that is ready to run.
#[derive(Debug, Clone)]
pub(super) struct Command {
    sandbox: Sandbox,
    /// The module cache outside.
    cache: PathBuf,
    program: String,
}

impl Command {
    /// The command of a root, or of a pinned Go. `scratch` has the module cache and the settings.
    ///
    /// # Errors
    /// When the scratch folder cannot be written.
    pub(super) fn new(root: &Path, toolchain: Option<&Path>, scratch: &Path) -> io::Result<Self> {
        let (cache, own) = (scratch.join("cache"), scratch.join("settings"));
        for folder in [&cache, &own] {
            fs::create_dir_all(folder)?;
        }
        let mut sandbox = Sandbox::new(root)
            .share_network()
            .empty("/etc")
            .lend(&cache, CACHE)
            .cwd(HOME)
            .env("HOME", HOME)
            .env("NETRC", format!("{HOME}/.netrc"))
            .env("GOENV", format!("{HOME}/goenv"))
            .env("GOMODCACHE", CACHE)
            .env("GOFLAGS", "-mod=readonly -modcacherw")
            .env("GOTOOLCHAIN", "local")
            .env("GIT_TERMINAL_PROMPT", "0");
        for (path, place) in settings::write(&own)? {
            sandbox = sandbox.show(&path, place);
        }
        let program = match toolchain {
            Some(toolchain) => {
                sandbox = sandbox.show(toolchain, GO);
                format!("{GO}/bin/go")
            }
            None => "go".to_owned(),
        };
        Ok(Self { sandbox, cache, program })
    }

    /// The same in a recipe's folder, for what it compiles for an architecture.
    pub(super) fn of_recipe(&self, recipe: &Path, go: &Go, arch: Arch) -> Self {
        let sandbox = self.sandbox.clone().show(recipe, RECIPE).cwd(RECIPE);
        let cgo = if go.cgo { "1" } else { "0" };
        let sandbox = sandbox.env("GOOS", "linux").env("GOARCH", arch.to_string()).env("CGO_ENABLED", cgo);
        Self { sandbox, cache: self.cache.clone(), program: self.program.clone() }
    }

    /// Runs it to its end, with `look` called meanwhile. Returns its standard output. When nothing comes for
    /// [`PATIENCE`], it is given up.
    ///
    /// # Errors
    /// [`SandboxError`], with what it said.
    pub(super) fn run(&self, args: &[&str], mut look: impl FnMut() + Send) -> Result<Vec<u8>, SandboxError> {
        let script = format!(". {HOME}/{ENVIRONMENT}; exec \"$0\" \"$@\"");
        let argv = ["bash", "-c", &script, &self.program].into_iter().chain(args.iter().copied());
        let (mut idle, mut seen) = (Duration::ZERO, 0);
        let run = self.sandbox.watch(argv, |_| {
            look();
            idle += LOOK;
            // Looking takes long where much has come: not every time.
            if idle.as_millis().is_multiple_of(PAUSE.as_millis()) {
                let bytes = size(&self.cache);
                (idle, seen) = if bytes == seen { (idle, seen) } else { (Duration::ZERO, bytes) };
            }
            if idle < PATIENCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match run {
            Err(SandboxError::Failed { program, status, stderr }) if idle >= PATIENCE => {
                let stderr = format!("{stderr}\nnothing came for {} s", PATIENCE.as_secs());
                Err(SandboxError::Failed { program, status, stderr })
            }
            run => run,
        }
    }
}

/// The bytes of everything that was downloaded.
fn size(cache: &Path) -> u64 {
    let files = walkdir::WalkDir::new(cache.join("cache")).into_iter().flatten();
    files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// What lists every package that a build's programs and tests are made of: the arguments of each call. It has every module
/// fetched that they need.
pub(crate) fn list(go: &Go) -> Vec<Vec<String>> {
    let of = |flags: &[&str], packages: &BTreeMap<String, String>| {
        let fixed = ["list", "-deps", "-f={{.ImportPath}}"].iter().chain(flags);
        let mut args: Vec<String> = fixed.map(ToString::to_string).collect();
        args.push(format!("-tags={}", go.tags.join(",")));
        args.extend(packages.values().cloned());
        (!packages.is_empty()).then_some(args)
    };
    // Of data only the folders are needed; several files may lie in one.
    let packages: BTreeSet<&str> = go.data.values().map(|file| Go::package(file).0).collect();
    let data = ["list", "-find"].into_iter().chain(packages.iter().copied()).map(str::to_owned).collect();
    let data = (!packages.is_empty()).then_some(data);
    // What only the tests of a dependency need is not asked for.
    [of(&[], &go.programs), of(&["-test"], &go.tests), data].into_iter().flatten().collect()
}
