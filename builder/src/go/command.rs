//! The go command in a sandbox with the host's network and the person's settings. It fetches and looks; it never
//! compiles.

use std::io;
use std::path::Path;

use fs_err as fs;

use super::settings::{self, ENVIRONMENT, HOME};
use crate::lock::format::{Arch, Go};
use crate::sandbox::{Sandbox, SandboxError};

/// The module cache inside.
const CACHE: &str = "/kiln/cache";

/// The pinned Go inside.
const GO: &str = "/kiln/go";

/// The recipe inside.
const RECIPE: &str = "/kiln/recipe";

/// A go command that is ready to run.
#[derive(Debug, Clone)]
pub(super) struct Command {
    sandbox: Sandbox,
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
        Ok(Self { sandbox, program })
    }

    /// The same in a recipe's folder, for what it compiles for an architecture.
    pub(super) fn of_recipe(&self, recipe: &Path, go: &Go, arch: Arch) -> Self {
        let sandbox = self.sandbox.clone().show(recipe, RECIPE).cwd(RECIPE);
        let cgo = if go.cgo { "1" } else { "0" };
        let sandbox = sandbox.env("GOOS", "linux").env("GOARCH", arch.to_string()).env("CGO_ENABLED", cgo);
        Self { sandbox, program: self.program.clone() }
    }

    /// Runs it to its end, with `look` called meanwhile. Returns its standard output.
    ///
    /// # Errors
    /// [`SandboxError`], with what it said.
    pub(super) fn run(&self, args: &[&str], mut look: impl FnMut() + Send) -> Result<Vec<u8>, SandboxError> {
        let script = format!(". {HOME}/{ENVIRONMENT}; exec \"$0\" \"$@\"");
        let argv = ["bash", "-c", &script, &self.program].into_iter().chain(args.iter().copied());
        self.sandbox.watch(argv, |_| look())
    }
}

/// The arguments that list every package of a build's programs, which has every module fetched that they need.
pub(super) fn list(go: &Go) -> Vec<String> {
    let mut args = vec!["list".to_owned(), "-deps".to_owned(), "-f={{.ImportPath}}".to_owned()];
    args.push(format!("-tags={}", go.tags.join(",")));
    args.extend(go.programs.values().cloned());
    args
}
