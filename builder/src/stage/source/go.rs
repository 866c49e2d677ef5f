//! Compiles Go modules, without a network: the pinned Go with the recipe's go.mod and go.sum, a module cache laid out from
//! the store, and flags that keep paths, versions of the host and times out of the programs.
//!
//! Go's build cache is in the store's scratch folder: a compile that was killed goes on, and what several builds compile
//! of the same modules is compiled once.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::go;
use crate::ground::arch::Arch;
use crate::ground::error::Result;
use crate::ground::progress::Task;
use crate::lockfile::format::Go;
use crate::sandbox::Sandbox;
use crate::stage::source::workplace::Workplace;
use crate::store::Store;

/// The scratch folder with Go's build cache.
const CACHE: &str = "go-build";

/// The go command inside.
const GO: &str = "/kiln/go/bin/go";

/// Seconds of one processor that a package takes, by what Kubernetes took: for what is said before it begins.
const SECONDS_A_PACKAGE: f64 = 0.4;

/// Compiles the programs of a build into the workplace's `out`.
pub(super) fn compile(place: &Workplace<'_>, go: &Go) -> Result<()> {
    let Workplace { name, lock, store, progress, .. } = *place;
    let toolchain = go::toolchain(store, lock, go, progress)?;
    let modules = place.work.join("modules");
    fs_err::create_dir_all(&modules)?;
    go::lay_out(store, go::modules(lock, name), &modules)?;
    let cache = store.scratch(CACHE);
    fs_err::create_dir_all(&cache)?;
    // It goes when nobody compiles any more.
    let _used = store.share(CACHE)?;
    let sandbox = sandbox(
        place,
        go,
        &[(&toolchain, "/kiln/go", false), (&modules, "/kiln/modules", true), (&cache, "/kiln/cache", true)],
    );
    let mut total = 0;
    for args in go::list(go) {
        let listed = sandbox.run([GO].into_iter().chain(args.iter().map(String::as_str)))?;
        total += listed.iter().filter(|byte| **byte == b'\n').count();
    }
    let task = progress.counted(&format!("compiling {name} from source"), "packages", total, estimate(total));
    let (tags, flags) = (format!("-tags={}", go.tags.join(",")), flags(go));
    let fixed = ["-trimpath", "-buildvcs=false", &tags, &flags];
    for (program, package) in &go.programs {
        let out = format!("/kiln/out/{program}");
        let build = [GO, "build", "-v"].into_iter().chain(fixed).chain(["-o", &out, package]);
        watch(&sandbox, build, &task)?;
    }
    for (program, package) in &go.tests {
        // `go test` does not tell what it compiles. Nearly all of it is what the tests import.
        let imports =
            "-f={{range .TestImports}}{{println .}}{{end}}{{range .XTestImports}}{{println .}}{{end}}";
        let imports = sandbox.run([GO, "list", imports, &tags, package])?;
        let imports = String::from_utf8_lossy(&imports);
        watch(
            &sandbox,
            [GO, "build", "-v"].into_iter().chain(fixed).chain(imports.split_whitespace()),
            &task,
        )?;
        let out = format!("/kiln/out/{program}");
        // Upstream has vetted its code; that takes as long as compiling it.
        sandbox.run([GO, "test", "-c", "-vet=off"].into_iter().chain(fixed).chain(["-o", &out, package]))?;
    }
    for (name, file) in &go.data {
        let (package, file) = Go::package(file);
        let folder = sandbox.run([GO, "list", "-find", "-f={{.Dir}}", &tags, package])?;
        let from = format!("{}/{file}", String::from_utf8_lossy(&folder).trim_end());
        sandbox.run(["install", "-m", "0644", "--", &from, &format!("/kiln/out/{name}")])?;
    }
    task.finish();
    Ok(())
}

/// Runs the go command; it tells a line for each package that it begins.
fn watch<'a>(sandbox: &Sandbox, argv: impl Iterator<Item = &'a str>, task: &Task<'_>) -> Result<()> {
    let mut at = 0;
    let mut buffer = vec![0; 1 << 16];
    sandbox.watch(argv, |log: &File| {
        while let Ok(read @ 1..) = log.read_at(&mut buffer, at) {
            at += read as u64;
            task.advance(buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64);
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn sandbox(place: &Workplace<'_>, go: &Go, folders: &[(&Path, &str, bool)]) -> Sandbox {
    let mut sandbox = place.sandbox().cwd("/kiln/recipe");
    for (from, to, writable) in folders {
        sandbox = if *writable { sandbox.lend(from, *to) } else { sandbox.show(from, *to) };
    }
    let fixed = [
        ("GO111MODULE", "on"),
        ("GOCACHE", "/kiln/cache"),
        ("GOENV", "off"),
        ("GOFLAGS", "-mod=readonly -modcacherw"),
        ("GOMODCACHE", "/kiln/modules"),
        ("GOOS", "linux"),
        ("GOPROXY", "off"),
        ("GOSUMDB", "off"),
        ("GOTOOLCHAIN", "local"),
        ("GOAMD64", "v1"),
        ("GOARM64", "v8.0"),
        ("CGO_ENABLED", if go.cgo { "1" } else { "0" }),
        ("CC", compiler(place.arch)),
    ];
    for (name, value) in fixed {
        sandbox = sandbox.env(name, value);
    }
    sandbox.env("GOARCH", place.arch.to_string())
}

/// Debian's names of the C compilers, for programs that hold C.
fn compiler(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64-linux-gnu-gcc",
        Arch::Arm64 => "aarch64-linux-gnu-gcc",
    }
}

/// No symbols, no build id, and the variables.
fn flags(go: &Go) -> String {
    let variables = go.variables.iter().map(|(name, value)| format!(" -X '{name}={}'", go.filled(value)));
    let linked = if go.cgo { " -extldflags=-static" } else { "" };
    format!("-ldflags=-s -w -buildid={linked}{}", variables.collect::<String>())
}

/// About how long so many packages take on this machine, in seconds.
fn estimate(packages: usize) -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (packages as f64 * SECONDS_A_PACKAGE / processors as f64) as u64
}

/// Removes Go's build cache, when nobody compiles.
///
/// # Errors
/// When it cannot be removed.
pub fn clean(store: &Store) -> std::io::Result<()> {
    match store.try_lock(CACHE)? {
        Some(_alone) => crate::store::remove_tree(&store.scratch(CACHE)),
        None => Ok(()),
    }
}
