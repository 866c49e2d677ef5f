//! Compiles firstboot for the images, to be embedded: static musl, the same bytes from any folder, user and machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian architecture and Rust target.
const TARGETS: [(&str, &str); 2] =
    [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")];

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    for input in [
        "firstboot/src",
        "firstboot/Cargo.toml",
        LINKER_SCRIPT,
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut all = Vec::new();
    for (arch, target) in TARGETS {
        let metadata = metadata(workspace, target);
        all.extend(crates(&metadata));
        let binary = compile(workspace, &out, target, &metadata);
        std::fs::copy(&binary, out.join(format!("firstboot-{arch}"))).expect("the binary was just made");
    }
    // The same for each target.
    all.sort_by_key(|it| it.to_string());
    all.dedup();
    let all = serde_json::to_string(&all).expect("texts can be written");
    std::fs::write(out.join("crates.json"), all).expect("cargo made OUT_DIR");
}

/// Leaves out of the program what it never reads.
const LINKER_SCRIPT: &str = "firstboot/no-unwinding.ld";

fn compile(workspace: &Path, out: &Path, target: &str, metadata: &serde_json::Value) -> PathBuf {
    // A target folder of its own: cargo holds the lock of the outer one.
    let folder = out.join("firstboot");
    let status = clean(tool("CARGO"))
        .args(["build", "--package", "firstboot", "--profile", "image", "--locked", "--target", target])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(workspace)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(workspace, &folder, metadata).join("\x1f"))
        .status()
        .expect("cargo runs, it runs this");
    assert!(
        status.success(),
        "firstboot does not compile for {target}; `rustup target add {target}` gives the pinned compiler this target"
    );
    folder.join(target).join("image/firstboot")
}

/// The linker that comes with the compiler, functions that are equal once, and every path of this machine under a neutral name. The last prefix that
/// matches wins, so the particular ones come last.
fn flags(workspace: &Path, out: &Path, metadata: &serde_json::Value) -> Vec<String> {
    let mut flags = [
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Clink-self-contained=yes",
        "-Crelocation-model=static",
        "-Clink-arg=--icf=all",
        "-Clink-arg=--no-eh-frame-hdr",
    ]
    .map(str::to_owned)
    .to_vec();
    flags.push(format!("-Clink-arg=-T{}", workspace.join(LINKER_SCRIPT).display()));
    let mut remap = |from: &str, to: &str| flags.push(format!("--remap-path-prefix={from}={to}"));
    remap(&workspace.to_string_lossy(), "/kiln");
    remap(&out.to_string_lossy(), "/target");
    let sysroot = text(tool("RUSTC").args(["--print", "sysroot"]));
    let version = text(tool("RUSTC").arg("-vV"));
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: ")).unwrap_or("unknown");
    remap(&format!("{}/lib/rustlib/src/rust", sysroot.trim()), &format!("/rustc/{commit}"));
    for (folder, package) in packages(metadata) {
        remap(&folder, &format!("/cargo/{package}"));
    }
    flags
}

/// The crates that are in firstboot: `{"name", "version", "license"}` each.
fn crates(metadata: &serde_json::Value) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    let nodes = metadata["resolve"]["nodes"].as_array().cloned().unwrap_or_default();
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let find = |list: &[serde_json::Value], id: &serde_json::Value| {
        list.iter().find(|it| it["id"] == *id).cloned().unwrap_or_default()
    };
    let main = packages.iter().find(|package| package["name"] == "firstboot").expect("it is a member");
    let (mut ids, mut next) = (std::collections::BTreeSet::new(), vec![main["id"].clone()]);
    while let Some(id) = next.pop() {
        if !ids.insert(id.to_string()) {
            continue;
        }
        let package = find(&packages, &id);
        let of_kind = |target: &serde_json::Value| {
            target["kind"].as_array().is_some_and(|kinds| kinds.contains(&"proc-macro".into()))
        };
        // Macros and what they need run in the compiler.
        if package["targets"].as_array().is_some_and(|targets| targets.iter().any(of_kind)) {
            continue;
        }
        if !package["source"].is_null() {
            let part = |name: &str| package[name].clone();
            let (name, version, license) = (part("name"), part("version"), part("license"));
            all.push(serde_json::json!({ "name": name, "version": version, "license": license }));
        }
        let dependencies = find(&nodes, &id)["deps"].as_array().cloned().unwrap_or_default();
        // Those that tests and build scripts need are in no program.
        let is_in = |it: &serde_json::Value| {
            it["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        };
        next.extend(dependencies.into_iter().filter(is_in).map(|it| it["pkg"].clone()));
    }
    all
}

fn metadata(workspace: &Path, target: &str) -> serde_json::Value {
    let metadata = text(
        clean(tool("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform", target])
            .current_dir(workspace),
    );
    serde_json::from_str(&metadata).expect("cargo metadata prints JSON")
}

/// The folders of the registry packages with their names and versions: the folder's name depends on the registry.
fn packages(metadata: &serde_json::Value) -> Vec<(String, String)> {
    let field =
        |package: &serde_json::Value, name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let foreign = |package: &&serde_json::Value| !package["source"].is_null();
    let packages = metadata["packages"].as_array().into_iter().flatten().filter(foreign);
    packages
        .map(|package| {
            let manifest = field(package, "manifest_path");
            let folder = manifest.trim_end_matches("/Cargo.toml").to_owned();
            (folder, format!("{}-{}", field(package, "name"), field(package, "version")))
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the compiler is the host's, by design; the lock checks its result"
)]
fn tool(variable: &str) -> Command {
    Command::new(env::var_os(variable).expect("cargo sets it for build scripts"))
}

/// Nothing of the outer build's settings may reach the bytes.
fn clean(mut command: Command) -> Command {
    const FOREIGN: [&str; 6] = ["CARGO_", "RUST", "DEP_", "CC", "CFLAGS", "SOURCE_DATE_EPOCH"];
    const KEPT: [&str; 5] =
        ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_CAINFO", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if FOREIGN.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.contains(&name.as_str()) {
            command.env_remove(&name);
        }
    }
    command
}

fn text(command: &mut Command) -> String {
    let output = command.output().expect("it runs, it runs this");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}
